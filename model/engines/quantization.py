"""Int8 quantization of an OpenVINO graph.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR, arXiv 1712.05877. The ranges of activations are calibrated on training
images (training.fitting.quantization) and stored in the checkpoint; those of weights are computed from them.
"""

from collections.abc import Iterable

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.metadata import LARGEST_INT8_WEIGHT, ActivationRange, CheckpointError


def quantize(graph: ov.Model, ranges: Iterable[ActivationRange]) -> None:
    """Insert FakeQuantize operations for the ranges, and per output channel for all convolutions' weights.

    Raises CheckpointError if the graph does not have the named operations.
    """
    operations = {node.get_friendly_name(): node for node in graph.get_ops()}
    quantized: dict[tuple, ov.Output] = {}
    for range_ in ranges:
        if range_.operation not in operations:
            raise CheckpointError(f"the int8 ranges are of another graph: there is no {range_.operation}")
        target = operations[range_.operation].input(range_.port)
        source = target.get_source_output()
        key = (source.get_node().get_friendly_name(), range_.low, range_.high)
        if key not in quantized:  # one FakeQuantize for all consumers of an activation
            quantized[key] = _fake_quantize(source, np.array(range_.low), np.array(range_.high), 256)
        target.replace_source_output(quantized[key])
    for node in operations.values():
        if node.get_type_name() == "Convolution":
            weights = node.input_value(1)
            largest = np.abs(weights.get_node().get_data()).max((1, 2, 3), keepdims=True)
            bound = largest * (127 / LARGEST_INT8_WEIGHT)
            node.input(1).replace_source_output(_fake_quantize(weights, -bound, bound, 255))
    graph.validate_nodes_and_infer_types()


def activation_ranges(graph: ov.Model) -> tuple[ActivationRange, ...]:
    """The ranges of the FakeQuantize operations of a graph."""
    ranges = []
    for node in graph.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            low, high = (float(node.input_value(port).get_node().get_data().item()) for port in (1, 2))
            for target in node.output(0).get_target_inputs():
                ranges.append(
                    ActivationRange(target.get_node().get_friendly_name(), target.get_index(), low, high)
                )
    return tuple(sorted(ranges, key=lambda range_: (range_.operation, range_.port)))


def _fake_quantize(source: ov.Output, low: np.ndarray, high: np.ndarray, levels: int) -> ov.Output:
    low, high = low.astype(np.float32), high.astype(np.float32)
    return ops.fake_quantize(source, low, high, low, high, levels).output(0)
