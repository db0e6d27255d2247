"""The domain check as ONNX operations."""

from typing import TYPE_CHECKING

import numpy as np

from model.images.statistics import LUMA
from model.ood import FLOOR, MahalanobisDetector

if TYPE_CHECKING:
    from training.export.onnx_graph import Graph

END = np.iinfo(np.int64).max  # of a Slice
FLOAT = 1  # TensorProto.FLOAT


def add_domain(
    graph: "Graph", network: MahalanobisDetector, means: str, image: MahalanobisDetector | None
) -> None:
    """`in_domain`, as `CheckpointMetadata.contains` has it. means: the name of the channel means, (N, D)."""
    inside = _within(graph, "domain", network, means)
    if image:
        like_photographs = _within(graph, "image", image, _statistics(graph))
        inside = graph.add("And", "domain.both", inside, like_photographs)
    graph.add("Identity", "in_domain", inside)


def _within(graph: "Graph", name: str, detector: MahalanobisDetector, features: str) -> str:
    """What `MahalanobisDetector.contains` says of features, (N, D): bool of shape (N,); its name."""
    if detector.log:
        features = graph.add("Log", f"{name}.logs", graph.add("Add", f"{name}.raised", features, FLOOR))
    centred = graph.add("Sub", f"{name}.centred", features, detector.mean)
    whitened = graph.add("MatMul", f"{name}.whitened", centred, detector.whitening)
    squares = graph.add("Mul", f"{name}.squares", whitened, whitened)
    square = graph.add("ReduceMean", f"{name}.square", squares, axes=[1], keepdims=0)
    distance = graph.add("Sqrt", f"{name}.distance", square)
    return graph.add("LessOrEqual", f"{name}.within", distance, detector.threshold)


def _statistics(graph: "Graph") -> str:
    """What `model.images.statistics.image_statistics` gives, (N, len(STATISTICS)), of `pictures`."""
    values = graph.add("Cast", "statistics.values", "pictures", to=FLOAT)
    planes = graph.add("Transpose", "statistics.planes", values, perm=[0, 3, 1, 2])

    def weighted_sum(name: str, weights: tuple[float, ...]) -> str:
        parts = graph.add("Mul", f"{name}.parts", planes, np.reshape(weights, (3, 1, 1)))
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
        return graph.mean(f"{name}.mean", graph.add("Cast", name, same, to=FLOAT))

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
    red = graph.add("Div", "red.scaled", cut("red", planes, 1, 0, 1), 255)
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
