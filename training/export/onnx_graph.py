"""The network, its calibration and its domain check as ONNX operations.

The graph is that of `model.engines.openvino_graph`, by the same names.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from model.architecture import STAGES, Architecture
from model.checkpoint import Checkpoint
from model.engines.openvino_graph import FoldedWeights, blocks, fold_batch_norms, norm_of, stride_of
from model.images.preprocess import Preprocess
from model.images.statistics import LUMA
from model.metadata import CheckpointMetadata
from model.ood import FLOOR, MahalanobisDetector

END = np.iinfo(np.int64).max

if TYPE_CHECKING:
    from onnx import NodeProto, TensorProto


def build_graph(checkpoint: Checkpoint) -> "Graph":
    """From `pictures`, uint8 of shape (N, size, size, 3), to `logit`, `probability` and `in_domain`.

    The latter of a checkpoint with a detector only. Raises CheckpointError where the weights do not fit.
    """
    metadata = checkpoint.metadata
    graph = Graph(fold_batch_norms(checkpoint.weights, metadata.architecture))
    means = _network(graph, metadata.architecture, _normalised(graph, metadata.preprocess))
    _probability(graph, metadata)
    if metadata.ood_detector:
        inside = _within(graph, "domain", metadata.ood_detector, means)
        if metadata.image_detector:
            plain = _within(graph, "drawing", metadata.image_detector, _statistics(graph))
            inside = graph.add("And", "domain.both", inside, plain)
        graph.add("Identity", "in_domain", inside)
    return graph


class Graph:
    """Operations, each with one output of its own name, and constants. folded: the network's weights."""

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


def _within(graph: Graph, name: str, detector: MahalanobisDetector, features: str) -> str:
    """What `MahalanobisDetector.contains` says of features, (N, D): bool of shape (N,); its name."""
    logs = graph.add("Log", f"{name}.logs", graph.add("Add", f"{name}.raised", features, FLOOR))
    centred = graph.add("Sub", f"{name}.centred", logs, detector.mean)
    whitened = graph.add("MatMul", f"{name}.whitened", centred, detector.whitening)
    squares = graph.add("Mul", f"{name}.squares", whitened, whitened)
    square = graph.add("ReduceMean", f"{name}.square", squares, axes=[1], keepdims=0)
    distance = graph.add("Sqrt", f"{name}.distance", square)
    return graph.add("LessOrEqual", f"{name}.within", distance, detector.threshold)


def _statistics(graph: Graph) -> str:
    """What `model.images.statistics.image_statistics` gives, (N, len(STATISTICS)), of `planes`; its name."""

    def weighted_sum(name: str, weights: tuple[float, ...]) -> str:
        parts = graph.add("Mul", f"{name}.parts", "planes", np.reshape(weights, (3, 1, 1)))
        return graph.add("ReduceSum", name, parts, graph.constant(f"{name}.axes", np.array([1]), np.int64))

    def cut(name: str, x: str, axis: int, start: int, stop: int) -> str:
        limits = {"start": start, "stop": stop, "axis": axis}
        names = [graph.constant(f"{name}.{what}", np.array([at]), np.int64) for what, at in limits.items()]
        return graph.add("Slice", name, x, *names)

    def neighbours(name: str, x: str, axis: int) -> tuple[str, str]:
        return cut(f"{name}.next", x, axis, 1, END), cut(f"{name}.previous", x, axis, 0, -1)

    def difference(name: str, x: str, axis: int) -> str:
        return graph.add("Sub", name, *neighbours(name, x, axis))

    def mean_magnitude(name: str, x: str) -> str:
        return graph.mean(f"{name}.mean", graph.add("Abs", f"{name}.magnitude", x))

    def equal(name: str, x: str, axis: int) -> str:
        same = graph.add("Equal", f"{name}.same", *neighbours(name, x, axis))
        return graph.mean(f"{name}.mean", graph.add("Cast", name, same, to=1))  # TensorProto.FLOAT

    luma = weighted_sum("luma", tuple(weight / 255 for weight in LUMA))
    colour = weighted_sum("colour", (65536, 256, 1))
    right, down = difference("luma.right", luma, 3), difference("luma.down", luma, 2)
    mean = graph.add("ReduceMean", "luma.mean", luma, axes=[2, 3], keepdims=1)
    centred = graph.add("Sub", "luma.centred", luma, mean)
    variance = graph.mean("luma.variance", graph.add("Mul", "luma.square", centred, centred))
    second = [
        cut("luma.right.inner", difference("luma.right.right", right, 3), 2, 1, -1),
        cut("luma.down.inner", difference("luma.down.down", down, 2), 3, 1, -1),
    ]
    laplacian = graph.add("Abs", "laplacian", graph.add("Add", "laplacian.signed", *second))
    root = graph.mean("laplacian.root.mean", graph.add("Sqrt", "laplacian.root", laplacian))
    red = graph.add("Div", "red.scaled", cut("red", "planes", 1, 0, 1), 255)
    red_difference = graph.add("Sub", "red.difference", red, luma)
    columns = [
        graph.mean("luma.flat", mean),
        graph.add("Sqrt", "luma.deviation", variance),
        mean_magnitude("luma.right", right),
        mean_magnitude("luma.down", down),
        graph.mean("laplacian.mean", laplacian),
        graph.add("Mul", "laplacian.root.square", root, root),
        mean_magnitude("red.right", difference("red.right", red_difference, 3)),
        equal("equal.right", colour, 3),
        equal("equal.down", colour, 2),
    ]
    return graph.add("Concat", "statistics", *columns, axis=1)
