"""Grad-CAM as OpenVINO's graph: the network, and the way back from its logit to a layer. Imports no torch.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2. A graph has no automatic differentiation, and so the
gradient of each operation is written out: of a convolution the transposed one (Dumoulin & Visin 2016, "A guide
to convolution arithmetic for deep learning", arXiv 1603.07285, section 4), of a ReLU a mask, of a sum both
its terms.
"""

from collections.abc import Mapping

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.architecture import FEATURES, LAYER, STAGES, Architecture
from model.engines.openvino_graph import (
    PLACES,
    Block,
    Folded,
    blocks,
    constant,
    fold,
    head,
    normalised,
    parameter,
    residual,
    stem,
    stride_of,
)
from model.images.preprocess import Preprocess

SMALLEST = np.float32(1e-12)  # divides a map without a positive place


def build_grad_cam(
    weights: Mapping[str, np.ndarray],
    architecture: Architecture,
    preprocess: Preprocess,
    layer: str = LAYER,
) -> ov.Model:
    """How much each place of a picture speaks for one label, as `model.grad_cam.grad_cam` has it.

    weights: as for `model.engines.openvino_graph.build_graph`. layer: one of `model.architecture.STAGES`.
    The graph takes pictures, uint8 of shape (N, size, size, 3), and signs, float32 of shape (N,): +1 where the
    map is to be of label 1 and -1 where of label 0. Its output is float32 of shape (N, size, size) in [0, 1].
    It is meant to be compiled for float32. Raises ValueError for another layer, CheckpointError where the
    weights do not fit the architecture.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    folded = fold(weights, architecture)
    pictures = parameter(preprocess)
    sign = ops.parameter(ov.PartialShape([-1]), ov.Type.f32, name="sign")
    x = maps = stem(folded, architecture, normalised(pictures, preprocess))
    later: list[tuple[str, ov.Output, Block]] = []
    for stage in STAGES:
        for name in blocks(stage):
            block = residual(folded, name, x)
            if STAGES.index(stage) > STAGES.index(layer):
                later.append((name, x, block))
            x = block.out
        if stage == layer:
            maps = x
    gradient = _through_head(folded, x, sign)
    for name, before, block in reversed(later):
        gradient = _through_block(folded, name, gradient, before, block)
    channels = ops.reduce_mean(gradient, PLACES, keep_dims=True)
    heat = ops.relu(ops.reduce_sum(ops.multiply(channels, maps), np.array([1]), keep_dims=True))
    size = np.array([preprocess.size] * 2)
    heat = ops.interpolate(
        heat, size, "linear_onnx", "sizes", coordinate_transformation_mode="half_pixel", axes=PLACES
    )
    heat = ops.squeeze(heat, np.array([1]))
    largest = ops.maximum(ops.reduce_max(heat, np.array([1, 2]), keep_dims=True), SMALLEST)
    return ov.Model([ops.divide(heat, largest, name="heat")], [pictures, sign], "grad_cam")


def _through_head(folded: Folded, last: ov.Output, sign: ov.Node) -> ov.Output:
    """The gradient of `sign * z` where the last maps are (N, 512, H, W), the same at all places: (N, 512, 1, 1)."""
    matrix = constant(folded["fc.weight" if "fc.weight" in folded else "fc.3.weight"], "head.gradient")
    gradient = ops.multiply(ops.unsqueeze(sign, np.array([1])), matrix).output(0)
    if "fc.weight" not in folded:
        hidden, _ = head(folded, ops.reduce_mean(last, PLACES).output(0))
        gradient = ops.matmul(
            _through_relu(gradient, hidden), constant(folded["fc.0.weight"], "hidden.gradient"), False, False
        ).output(0)
    places = np.float32(_side(last) ** 2)
    return ops.reshape(ops.divide(gradient, places), np.array([-1, FEATURES, 1, 1]), False).output(0)


def _through_block(
    folded: Folded, name: str, gradient: ov.Output, before: ov.Output, block: Block
) -> ov.Output:
    """From the gradient where a block ends to that where it begins."""
    stride = stride_of(folded, name)
    gradient = _through_relu(gradient, block.out)
    middle = _through_relu(
        _through_convolution(folded, f"{name}.conv2", gradient, block.middle), block.middle
    )
    inner = _through_convolution(folded, f"{name}.conv1", middle, before, stride)
    if stride > 1:
        gradient = _through_convolution(folded, f"{name}.downsample.0", gradient, before, stride)
    return ops.add(inner, gradient).output(0)


def _through_convolution(
    folded: Folded, name: str, gradient: ov.Output, before: ov.Output, stride: int = 1
) -> ov.Output:
    """A convolution's gradient by its input, `before`: the transposed convolution, without a bias."""
    kernels = folded[f"{name}.weight"]
    kernel = kernels.shape[2]
    half = [kernel // 2] * 2
    left = (_side(before) + 2 * (kernel // 2) - kernel) % stride  # rows that no stride reached
    return ops.convolution_backprop_data(
        gradient,
        # A copy: OpenVINO 2026.4 looks packed kernels up by the address of what they were packed from, and
        # would take those of the convolution where there are as many channels before it as after it.
        ops.constant(kernels, name=f"{name}.gradient"),
        [stride] * 2,
        pads_begin=half,
        pads_end=half,
        dilations=[1, 1],
        output_padding=[left] * 2,
        name=f"{name}.transposed",
    ).output(0)


def _through_relu(gradient: ov.Output, activation: ov.Output) -> ov.Output:
    """The gradient where the ReLU that gave this activation let its input pass: 0 where it gave 0."""
    return ops.select(ops.greater(activation, np.float32(0)), gradient, np.float32(0)).output(0)


def _side(maps: ov.Output) -> int:
    return maps.get_partial_shape()[2].get_length()
