"""Grad-CAM as an OpenVINO graph of the forward pass and the backward pass to a layer. Imports no torch.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2. OpenVINO has no automatic
differentiation, so the graph contains the gradients: of a convolution, the transposed convolution (Dumoulin &
Visin 2016, "A guide to convolution arithmetic for deep learning", arXiv 1603.07285, section 4); of a ReLU, a
mask.
"""

from collections.abc import Mapping

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.architecture import FEATURES, GRAD_CAM_LAYER, STAGES, Architecture
from model.engines.openvino_graph import (
    SPATIAL_AXES,
    Block,
    FoldedWeights,
    after_stage,
    blocks,
    fold_batch_norms,
    head,
    normalize,
    parameter,
    residual_block,
    stem,
    stride_of,
)
from model.images.preprocess import Preprocess

EPSILON = np.float32(1e-12)  # the divisor of a heat map that is 0 everywhere
ZERO = np.float32(0)


def build_grad_cam(
    weights: Mapping[str, np.ndarray],
    architecture: Architecture,
    preprocess: Preprocess,
    layer: str = GRAD_CAM_LAYER,
) -> ov.Model:
    """A graph from images and signs to the heat maps of `model.grad_cam.grad_cam`.

    weights: as for `model.engines.openvino_graph.build_graph`. layer: one of `model.architecture.STAGES`.
    The graph takes images, uint8 of shape (N, size, size, 3), RGB, and signs, float32 of shape (N,): +1 for
    a target of label 1, -1 for label 0. Its output is float32 of shape (N, size, size) in [0, 1].
    Compile it with an inference precision of float32. Raises ValueError for another layer, and
    CheckpointError if the weights do not fit the architecture.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    folded = fold_batch_norms(weights, architecture)
    pictures = parameter(preprocess)
    sign = ops.parameter(ov.PartialShape([-1]), ov.Type.f32, name="sign")
    x = stem(folded, architecture, normalize(pictures, preprocess))
    inputs: dict[str, ov.Output] = {}
    outputs: dict[str, Block] = {}
    maps: dict[str, ov.Output] = {}  # after each stage
    for stage in STAGES:
        for name in blocks(stage):
            inputs[name] = x
            outputs[name] = residual_block(folded, name, x)
            x = outputs[name].out
        maps[stage] = x = after_stage(stage, architecture, x)
    gradient = _head_gradient(folded, x, sign)
    for name in (block for stage in STAGES[: STAGES.index(layer) : -1] for block in reversed(blocks(stage))):
        gradient = _block_gradient(folded, name, gradient, inputs[name], outputs[name])
    channels = ops.reduce_mean(gradient, SPATIAL_AXES, keep_dims=True, name="channel_weights")
    total = ops.reduce_sum(ops.multiply(channels, maps[layer]), np.array([1]), keep_dims=True)
    heat = ops.interpolate(
        ops.relu(total),
        np.array([preprocess.size] * 2),
        "linear_onnx",
        "sizes",
        coordinate_transformation_mode="half_pixel",
        axes=SPATIAL_AXES,
    )
    heat = ops.squeeze(heat, np.array([1]))
    largest = ops.reduce_max(heat, np.array([1, 2]), keep_dims=True)
    heat = ops.divide(heat, ops.maximum(largest, EPSILON), name="heat")
    return ov.Model([heat], [pictures, sign], "grad_cam")


def _head_gradient(folded: FoldedWeights, last: ov.Output, sign: ov.Node) -> ov.Output:
    """The gradient of `sign * z` with respect to the last feature maps, (N, 512, 1, 1)."""
    linear = "fc.weight" in folded
    row = ops.constant(folded["fc.weight" if linear else "fc.3.weight"])
    gradient = ops.multiply(ops.unsqueeze(sign, np.array([1])), row).output(0)
    if not linear:
        hidden, _ = head(folded, ops.reduce_mean(last, SPATIAL_AXES).output(0))
        matrix = ops.constant(folded["fc.0.weight"])
        gradient = ops.matmul(_relu_gradient(gradient, hidden), matrix, False, False).output(0)
    mean = ops.divide(gradient, np.float32(_side(last) ** 2))
    return ops.reshape(mean, np.array([-1, FEATURES, 1, 1]), False).output(0)


def _block_gradient(
    folded: FoldedWeights, name: str, gradient: ov.Output, input_: ov.Output, block: Block
) -> ov.Output:
    """The gradient with respect to a block's input, from that of its output."""
    stride = stride_of(folded, name)
    gradient = _relu_gradient(gradient, block.out)
    middle = _convolution_gradient(folded, f"{name}.conv2", gradient, block.middle)
    middle = _relu_gradient(middle, block.middle)
    branch = _convolution_gradient(folded, f"{name}.conv1", middle, input_, stride)
    if stride > 1:
        gradient = _convolution_gradient(folded, f"{name}.downsample.0", gradient, input_, stride)
    return ops.add(branch, gradient, name=f"{name}.gradient").output(0)


def _convolution_gradient(
    folded: FoldedWeights, name: str, gradient: ov.Output, input_: ov.Output, stride: int = 1
) -> ov.Output:
    """The gradient with respect to a convolution's input, from that of its output."""
    kernels = folded[f"{name}.weight"]
    side = kernels.shape[2]
    half = side // 2
    output_padding = (_side(input_) + 2 * half - side) % stride  # rows that the kernel did not reach
    return ops.convolution_backprop_data(
        gradient,
        # Copied: the CPU plugin (2026.4) caches reordered kernels by their address, and with as many input as
        # output channels it would reuse those of the forward pass.
        ops.constant(kernels),
        [stride] * 2,
        pads_begin=[half] * 2,
        pads_end=[half] * 2,
        dilations=[1, 1],
        output_padding=[output_padding] * 2,
        name=f"{name}.gradient",
    ).output(0)


def _relu_gradient(gradient: ov.Output, activation: ov.Output) -> ov.Output:
    """The gradient with respect to a ReLU's input, from that of its output; 0 at 0, as in PyTorch."""
    return ops.select(ops.greater(activation, ZERO), gradient, ZERO).output(0)


def _side(maps: ov.Output) -> int:
    return maps.get_partial_shape()[2].get_length()
