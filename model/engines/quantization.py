"""Eight-bit arithmetic: a graph whose convolutions compute in integers.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR, arXiv 1712.05877. The ranges of activations are found once, from pictures (see
training.fitting.quantization), and travel in the checkpoint, so that a server needs no pictures; those of
weights are the weights' own.
"""

from collections.abc import Iterable

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.metadata import CheckpointError, Range


def quantise(graph: ov.Model, ranges: Iterable[Range]) -> None:
    """Round in place what the ranges name, and the weights of all convolutions, by output channel.

    Raises CheckpointError where the graph has not the operations named.
    """
    operations = {node.get_friendly_name(): node for node in graph.get_ops()}
    rounded: dict[tuple, ov.Output] = {}
    for one in ranges:
        if one.operation not in operations:
            raise CheckpointError(f"the int8 ranges are of another graph: there is no {one.operation}")
        target = operations[one.operation].input(one.port)
        source = target.get_source_output()
        key = (source.get_node().get_friendly_name(), one.low, one.high)
        if key not in rounded:  # what feeds several operations is rounded once
            rounded[key] = _rounded(source, np.array(one.low), np.array(one.high), 256)
        target.replace_source_output(rounded[key])
    # Half of the values, because without VNNI the sum of two products of 8 bits has to fit into 16.
    for node in operations.values():
        if node.get_type_name() == "Convolution":
            weights = node.input_value(1)
            bound = 2 * np.abs(weights.get_node().get_data()).max((1, 2, 3), keepdims=True)
            node.input(1).replace_source_output(_rounded(weights, -bound, bound, 255))
    graph.validate_nodes_and_infer_types()


def ranges_of(graph: ov.Model) -> tuple[Range, ...]:
    """Where and to what a graph rounds its activations."""
    found = []
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            low, high = (float(node.input_value(port).get_node().get_data().item()) for port in (1, 2))
            for target in node.output(0).get_target_inputs():
                found.append(Range(target.get_node().get_friendly_name(), target.get_index(), low, high))
    return tuple(sorted(found, key=lambda one: (one.operation, one.port)))


def _rounded(source: ov.Output, low: np.ndarray, high: np.ndarray, levels: int) -> ov.Output:
    low, high = low.astype(np.float32), high.astype(np.float32)
    return ops.fake_quantize(source, low, high, low, high, levels).output(0)
