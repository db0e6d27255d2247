"""From a checkpoint to OpenVINO's files. Imports torch, and so runs in a process of its own."""

import sys
import warnings
from pathlib import Path

import openvino as ov
import torch
from torch import Tensor, nn

from model.checkpoint import Checkpoint
from model.engines.prepared import write_manifest
from model.engines.quantization import quantise
from model.metadata import CheckpointError
from model.network import TinyConv2d, folded, logits_and_means


class Served(nn.Module):
    """The network as it is served: from uint8 pictures (N, size, size, 3) to logits and channel means."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        super().__init__()
        self.network = folded(checkpoint.network())
        for module in self.network.modules():
            if isinstance(module, TinyConv2d):  # a way for PyTorch; OpenVINO has its own
                module.__class__ = nn.Conv2d  # type: ignore[assignment]
        self.normalise = checkpoint.preprocess.normalise

    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return logits_and_means(self.network, self.normalise(pictures.permute(0, 3, 1, 2)))


def graph(checkpoint: Checkpoint) -> ov.Model:
    """The network as OpenVINO's graph, its first axis of any length."""
    size = checkpoint.preprocess.size
    example = torch.zeros((2, size, size, 3), dtype=torch.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tracing warns of every Python condition, and there is none on data
        return ov.convert_model(Served(checkpoint), example_input=example, input=[(-1, size, size, 3)])


def convert(model: Path, folder: Path) -> None:
    """Write into `folder` what `model.engines.prepared` reads. Raises CheckpointError."""
    checkpoint = Checkpoint.load(model)
    network = graph(checkpoint)
    ov.save_model(network, folder / "model.xml", compress_to_fp16=False)
    if checkpoint.int8:
        quantise(network, checkpoint.int8)
        ov.save_model(network, folder / "int8.xml", compress_to_fp16=False)
    write_manifest(checkpoint, folder / "manifest.npz")


if __name__ == "__main__":
    try:
        convert(Path(sys.argv[1]), Path(sys.argv[2]))
    except CheckpointError as error:
        sys.exit(str(error))
