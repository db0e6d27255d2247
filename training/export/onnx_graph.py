"""The network, its calibration and its domain check as ONNX operations.

The graph of ResNet18 is that of `model.engines.openvino_graph`, by the same names.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from model.architecture import RESNET18, STAGES, Architecture
from model.checkpoint import Checkpoint
from model.engines.conversion import MEANS, to_onnx
from model.engines.openvino_graph import FoldedWeights, blocks, fold_batch_norms, norm_of, stride_of
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from training.export.onnx_domain import add_domain

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


def build_graph(checkpoint: Checkpoint) -> "Graph":
    """From `pictures`, uint8 of shape (N, size, size, 3), to `logit`, `probability` and `in_domain`.

    The latter of a checkpoint with a detector only. Raises CheckpointError where the weights do not fit, and
    ValueError where the backbone is built by timm and a package is missing.
    """
    metadata = checkpoint.metadata
    if metadata.architecture.backbone == RESNET18:
        graph = Graph(fold_batch_norms(checkpoint.weights, metadata.architecture))
        means = _network(graph, metadata.architecture, _normalised(graph, metadata.preprocess))
    else:
        graph = Graph({})
        graph.add_converted(to_onnx(checkpoint))
        means = MEANS
    _probability(graph, metadata)
    if metadata.ood_detector:
        add_domain(graph, metadata.ood_detector, means, metadata.image_detector)
    return graph


class Graph:
    """Operations, each with one output of its own name, and constants. folded: the weights of a ResNet18."""

    def __init__(self, folded: FoldedWeights) -> None:
        self.folded = folded
        self.nodes: list[NodeProto] = []
        self.constants: list[TensorProto] = []

    def add(self, kind: str, name: str, *inputs: str | float | np.ndarray, **attributes: Any) -> str:
        """An operation of inputs by their names, or of one constant by its value; its own name."""
        from onnx import helper

        names = [one if isinstance(one, str) else self.constant(f"{name}.value", one) for one in inputs]
        self.nodes.append(helper.make_node(kind, names, [name], name, **attributes))
        return name

    def add_converted(self, content: bytes) -> None:
        """The operations and constants of an ONNX model, without where in the source they come from."""
        import onnx

        converted = onnx.load_model_from_string(content).graph
        for node in converted.node:
            node.ClearField("doc_string")  # paths of this machine
        self.nodes.extend(converted.node)
        self.constants.extend(converted.initializer)

    def constant(self, name: str, value: float | np.ndarray, kind: type = np.float32) -> str:
        """A constant of this type; its name."""
        from onnx import numpy_helper

        self.constants.append(numpy_helper.from_array(np.asarray(value, kind), name))
        return name

    def weight(self, name: str) -> str:
        """A constant of the network; its name."""
        return self.constant(name, self.folded[name])

    def mean(self, name: str, maps: str) -> str:
        """Over height and width: (N, channels)."""
        return self.add("ReduceMean", name, maps, axes=[2, 3], keepdims=0)

    def max_pool(self, maps: str, side: int = 2, pad: int = 0) -> str:
        """The maximum over squares of `side`, every two pixels."""
        return self.add("MaxPool", "maxpool", maps, kernel_shape=[side] * 2, strides=[2, 2], pads=[pad] * 4)

    def convolution(self, name: str, maps: str, stride: int = 1) -> str:
        """Padded by half of its kernel, with the bias that its batch norm became."""
        weight, bias = self.weight(f"{name}.weight"), self.weight(f"{norm_of(name)}.bias")
        side = self.folded[weight].shape[2]
        sizes = {"kernel_shape": [side] * 2, "strides": [stride] * 2, "pads": [side // 2] * 4}
        return self.add("Conv", name, maps, weight, bias, **sizes)

    def linear(self, name: str, x: str) -> str:
        """Of x (N, inputs): (N, outputs)."""
        return self.add("Gemm", name, x, self.weight(f"{name}.weight"), self.weight(f"{name}.bias"), transB=1)


def _normalised(graph: Graph, preprocess: Preprocess) -> str:
    """What `Preprocess.normalize` does: float32 of shape (N, 3, size, size)."""
    scale = 1 / (255 * np.array(preprocess.std, np.float32).reshape(3, 1, 1))
    shift = np.array(preprocess.mean, np.float32).reshape(3, 1, 1) * 255 * scale
    values = graph.add("Cast", "values", "pictures", to=1)  # TensorProto.FLOAT
    planes = graph.add("Transpose", "planes", values, perm=[0, 3, 1, 2])
    return graph.add("Sub", "normalised", graph.add("Mul", "scaled", planes, scale), shift)


def _network(graph: Graph, architecture: Architecture, pictures: str) -> str:
    """`logit`, (N,); the name of the channel means, (N, CHANNEL_MEANS), that it returns."""
    imagenet = architecture.stem == "imagenet"
    x = graph.add("Relu", "relu", graph.convolution("conv1", pictures, 2 if imagenet else 1))
    if imagenet:
        x = graph.max_pool(x, 3, 1)
    elif architecture.stem == "small-pool":
        x = graph.max_pool(x)
    means = [graph.mean("stem.mean", x)]
    for stage in STAGES:
        for name in blocks(stage):
            x = _residual(graph, name, x)
        if (architecture.stem, stage) == ("small-late-pool", STAGES[0]):
            x = graph.max_pool(x)
        if stage != STAGES[-1]:
            means.append(graph.mean(f"{stage}.mean", x))
    z = graph.mean("flatten", x)
    if architecture.head == "linear":
        z = graph.linear("fc", z)
    else:
        z = graph.linear("fc.3", graph.add("Relu", "fc.1", graph.linear("fc.0", z)))
    graph.add("Squeeze", "logit", z, graph.constant("logit.axes", np.array([1]), np.int64))
    return graph.add("Concat", "means", *means, axis=1)


def _residual(graph: Graph, name: str, x: str) -> str:
    stride = stride_of(graph.folded, name)
    middle = graph.add("Relu", f"{name}.relu1", graph.convolution(f"{name}.conv1", x, stride))
    out = graph.convolution(f"{name}.conv2", middle)
    same = x if stride == 1 else graph.convolution(f"{name}.downsample.0", x, stride)
    return graph.add("Relu", f"{name}.relu2", graph.add("Add", f"{name}.add", out, same))


def _probability(graph: Graph, metadata: CheckpointMetadata) -> None:
    """`probability` by `logit`, as `CheckpointMetadata.probability` has it."""
    calibration = metadata.calibration
    raised = graph.add("Pow", "raised", graph.add("Abs", "absolute", "logit"), calibration.power)
    signed = graph.add("Mul", "signed", graph.add("Sign", "sign", "logit"), raised)
    cooled = graph.add("Div", "cooled", signed, calibration.temperature)
    z = graph.add("Add", "calibrated", cooled, calibration.shift)
    if metadata.positive_class == "FAKE":
        z = graph.add("Neg", "calibrated.real", z)
    graph.add("Sigmoid", "probability", z)
