"""Grad-CAM as OpenVINO's graph: the forward pass, and the backward pass to a layer. Imports no torch.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2. OpenVINO does not differentiate, so the gradient
of each operation is an operation of this graph: the transposed convolution of a convolution (Dumoulin & Visin
2016, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285, section 4), a mask of a ReLU.
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
    fold,
    head,
    normalised,
    parameter,
    residual,
    stem,
    stride_of,
)
from model.images.preprocess import Preprocess

SMALLEST = np.float32(1e-12)  # the divisor of a map that is zero everywhere
ZERO = np.float32(0)


def build_grad_cam(
    weights: Mapping[str, np.ndarray], architecture: Architecture, preprocess: Preprocess, layer: str = LAYER
) -> ov.Model:
    """From pictures and signs to heat maps, as `model.grad_cam.grad_cam` computes them.

    weights: as for `model.engines.openvino_graph.build_graph`. layer: one of `model.architecture.STAGES`.
    The graph takes pictures, uint8 of shape (N, size, size, 3), RGB, and signs, float32 of shape (N,): +1 for
    the map of label 1, -1 for that of label 0. Its output is float32 of shape (N, size, size) in [0, 1].
    Compile it with an inference precision of float32. Raises ValueError for another layer, and
    CheckpointError where the weights do not fit the architecture.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    folded = fold(weights, architecture)
    pictures = parameter(preprocess)
    sign = ops.parameter(ov.PartialShape([-1]), ov.Type.f32, name="sign")
    x = stem(folded, architecture, normalised(pictures, preprocess))
    inputs: dict[str, ov.Output] = {}
    outputs: dict[str, Block] = {}
    for name in (block for stage in STAGES for block in blocks(stage)):
        inputs[name] = x
        outputs[name] = residual(folded, name, x)
        x = outputs[name].out
    gradient = _head_gradient(folded, x, sign)
    for name in (block for stage in STAGES[: STAGES.index(layer) : -1] for block in reversed(blocks(stage))):
        gradient = _block_gradient(folded, name, gradient, inputs[name], outputs[name])
    maps = outputs[blocks(layer)[-1]].out
    channels = ops.reduce_mean(gradient, PLACES, keep_dims=True, name="channel_weights")
    total = ops.reduce_sum(ops.multiply(channels, maps), np.array([1]), keep_dims=True)
    heat = ops.interpolate(
        ops.relu(total),
        np.array([preprocess.size] * 2),
        "linear_onnx",
        "sizes",
        coordinate_transformation_mode="half_pixel",
        axes=PLACES,
    )
    heat = ops.squeeze(heat, np.array([1]))
    largest = ops.reduce_max(heat, np.array([1, 2]), keep_dims=True)
    heat = ops.divide(heat, ops.maximum(largest, SMALLEST), name="heat")
    return ov.Model([heat], [pictures, sign], "grad_cam")


def _head_gradient(folded: Folded, last: ov.Output, sign: ov.Node) -> ov.Output:
    """The gradient of `sign * z` by the last maps, (N, 512, 1, 1): it is the same at all places."""
    linear = "fc.weight" in folded
    row = ops.constant(folded["fc.weight" if linear else "fc.3.weight"])
    gradient = ops.multiply(ops.unsqueeze(sign, np.array([1])), row).output(0)
    if not linear:
        hidden, _ = head(folded, ops.reduce_mean(last, PLACES).output(0))
        matrix = ops.constant(folded["fc.0.weight"])
        gradient = ops.matmul(_relu_gradient(gradient, hidden), matrix, False, False).output(0)
    mean = ops.divide(gradient, np.float32(_side(last) ** 2))
    return ops.reshape(mean, np.array([-1, FEATURES, 1, 1]), False).output(0)


def _block_gradient(
    folded: Folded, name: str, gradient: ov.Output, before: ov.Output, block: Block
) -> ov.Output:
    """The gradient by a block's input, `before`, from that by its output."""
    stride = stride_of(folded, name)
    gradient = _relu_gradient(gradient, block.out)
    middle = _convolution_gradient(folded, f"{name}.conv2", gradient, block.middle)
    middle = _relu_gradient(middle, block.middle)
    changed = _convolution_gradient(folded, f"{name}.conv1", middle, before, stride)
    if stride > 1:
        gradient = _convolution_gradient(folded, f"{name}.downsample.0", gradient, before, stride)
    return ops.add(changed, gradient, name=f"{name}.gradient").output(0)


def _convolution_gradient(
    folded: Folded, name: str, gradient: ov.Output, before: ov.Output, stride: int = 1
) -> ov.Output:
    """The gradient by a convolution's input, `before`, from that by its output."""
    kernels = folded[f"{name}.weight"]
    side = kernels.shape[2]
    half = side // 2
    rest = (_side(before) + 2 * half - side) % stride  # rows after the last that a kernel was laid on
    return ops.convolution_backprop_data(
        gradient,
        # A copy: the CPU plugin (2026.4) keeps kernels in its own layout by the address they had, and where
        # input and output have as many channels it would take those that the forward pass has laid out.
        ops.constant(kernels),
        [stride] * 2,
        pads_begin=[half] * 2,
        pads_end=[half] * 2,
        dilations=[1, 1],
        output_padding=[rest] * 2,
        name=f"{name}.gradient",
    ).output(0)


def _relu_gradient(gradient: ov.Output, activation: ov.Output) -> ov.Output:
    """The gradient by a ReLU's input from that by its output, `activation`; at 0 it is 0, as torch has it."""
    return ops.select(ops.greater(activation, ZERO), gradient, ZERO).output(0)


def _side(maps: ov.Output) -> int:
    return maps.get_partial_shape()[2].get_length()
