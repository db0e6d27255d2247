"""Graphs of networks by timm, converted from PyTorch's. That of ResNet18 is built by `openvino_graph`."""

import io
import warnings
from importlib.util import find_spec

import openvino as ov

from model.architecture import RESNET18
from model.checkpoint import Checkpoint
from model.engines.openvino_graph import build_graph

# Of ONNX 1.12 (2022): onnxruntime reads it from 1.12 on, and what is newer reads it too. A newer opset would
# give the graphs nothing, and shut older runtimes out: from 18 on ReduceMean takes its axes as an input.
OPSET = 17
PICTURES, LOGIT, MEANS = "pictures", "logit", "means"  # the input and the outputs of `to_onnx`


def graph_of(checkpoint: Checkpoint) -> ov.Model:
    """A graph from images to logits and what `model.ood` judges by, as of `model.network.logits_and_means`.

    It takes uint8 of shape (N, size, size, 3), RGB, any N. Raises CheckpointError if the weights do not fit
    the architecture, and ValueError if its backbone is not ResNet18 and PyTorch, onnx or timm is missing.
    """
    metadata = checkpoint.metadata
    if metadata.architecture.backbone == RESNET18:
        return build_graph(checkpoint.weights, metadata.architecture, metadata.preprocess)
    return ov.Core().read_model(to_onnx(checkpoint))


def to_onnx(checkpoint: Checkpoint) -> bytes:
    """An ONNX model that computes as `graph_of` does, from PICTURES to LOGIT and MEANS, by PyTorch.

    Raises CheckpointError if the weights do not fit, and ValueError if a package is missing.
    """
    backbone, preprocess = checkpoint.metadata.architecture.backbone, checkpoint.metadata.preprocess
    if missing := " and ".join(name for name in ("torch", "onnx") if find_spec(name) is None):
        raise ValueError(
            f"the backbone {backbone} needs {missing}, which is not installed: "
            "pip install -r requirements.txt --group backbones"
        )
    import torch
    from torch import Tensor, nn

    from model.backbones import BackboneNetwork
    from model.network import logits_and_means

    network = checkpoint.network()
    if isinstance(network, BackboneNetwork):
        network.fix_size(preprocess.size)

    class FromPictures(nn.Module):
        """The network with its preprocessing, from an engine's batches."""

        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
            return logits_and_means(self.network, preprocess.normalize(pictures.permute(0, 3, 1, 2)))

    file = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        # The exporter by TorchScript is deprecated. The other one needs onnxscript, takes minutes, and writes
        # newer opsets only.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            FromPictures().eval(),
            (torch.zeros((2, preprocess.size, preprocess.size, 3), dtype=torch.uint8),),
            file,  # type: ignore[arg-type]  # which the exporter by TorchScript takes
            input_names=[PICTURES],
            output_names=[LOGIT, MEANS],
            dynamic_axes={name: {0: "batch"} for name in (PICTURES, LOGIT, MEANS)},
            opset_version=OPSET,
            dynamo=False,
        )
    return file.getvalue()
