"""The network as an OpenVINO graph, built from a state dict. Imports no torch.

He et al. 2016, "Deep Residual Learning for Image Recognition", doi 10.1109/CVPR.2016.90. Each batch norm is
folded into the convolution before it: Jacob et al. 2018, "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", arXiv 1712.05877, section 3.2.

Operations have the names of the modules of `model.network`: `layer1.0.conv1` is the convolution,
`layer1.0.bn1` the addition of the bias of its folded batch norm. The others are `layer1.0.add`, the sum of a
residual block; `layer1.0.relu1` and `layer1.0.relu2`, the two uses of its ReLU; `stem.mean`, `layer1.mean`,
`layer2.mean` and `layer3.mean`, the channel means; and `flatten`, the features.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import openvino as ov
from openvino import opset13 as ops

from model.architecture import FEATURES, STAGES, Architecture
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError

NORM = ("weight", "bias", "running_mean", "running_var")  # the parameters and buffers of a batch norm
EPSILON = np.float32(1e-5)  # the default eps of torch.nn.BatchNorm2d
WIDTHS = (64, 128, 256, 512)  # channels of the four stages
HIDDEN = 128  # units of the `mlp` head
SPATIAL_AXES = np.array([2, 3])

FoldedWeights = dict[str, np.ndarray]


class Block(NamedTuple):
    """The two activations of a residual block, after its first and its second ReLU: (N, channels, H, W)."""

    middle: ov.Output
    out: ov.Output


def build_graph(
    weights: Mapping[str, np.ndarray], architecture: Architecture, preprocess: Preprocess
) -> ov.Model:
    """A graph from images to logits and channel means.

    weights: a state dict of `model.network.build_network`, of any float dtypes.
    The graph takes uint8 of shape (N, size, size, 3), RGB, any N. Its outputs are the logits of
    label 1, float32 of shape (N,), and the channel means, float32 of shape (N, CHANNEL_MEANS), as of
    `model.network.logits_and_means`. Raises CheckpointError if the weights do not fit the architecture.
    """
    folded = fold_batch_norms(weights, architecture)
    pictures = parameter(preprocess)
    x = stem(folded, architecture, normalize(pictures, preprocess))
    means = [ops.reduce_mean(x, SPATIAL_AXES, name="stem.mean")]
    for stage in STAGES:
        for name in blocks(stage):
            x = residual_block(folded, name, x).out
        x = after_stage(stage, architecture, x)
        if stage != STAGES[-1]:
            means.append(ops.reduce_mean(x, SPATIAL_AXES, name=f"{stage}.mean"))
    pooled = ops.reduce_mean(x, SPATIAL_AXES, keep_dims=True, name="avgpool")
    features = ops.reshape(pooled, np.array([-1, FEATURES]), False, name="flatten").output(0)
    *_, last = head(folded, features)
    z = ops.reshape(last, np.array([-1]), False, name="logits")
    return ov.Model([z, ops.concat(means, 1, name="means")], [pictures], "network")


def weight_shapes(architecture: Architecture) -> dict[str, tuple[int, ...]]:
    """The shape of each weight of a network, by its name in the state dict."""
    side = 7 if architecture.stem == "imagenet" else 3
    convolutions: dict[str, tuple[int, ...]] = {"conv1": (WIDTHS[0], 3, side, side)}
    before = WIDTHS[0]
    for stage, width in zip(STAGES, WIDTHS, strict=True):
        for block in blocks(stage):
            convolutions[f"{block}.conv1"] = (width, before, 3, 3)
            convolutions[f"{block}.conv2"] = (width, width, 3, 3)
            if before != width:
                convolutions[f"{block}.downsample.0"] = (width, before, 1, 1)
            before = width
    shapes = {}
    for name, shape in convolutions.items():
        shapes[f"{name}.weight"] = shape
        for part in NORM:
            shapes[f"{norm_of(name)}.{part}"] = shape[:1]
    linear = {"fc": (1, FEATURES)}
    if architecture.head == "mlp":
        linear = {"fc.0": (HIDDEN, FEATURES), "fc.3": (1, HIDDEN)}
    for name, matrix in linear.items():
        shapes |= {f"{name}.weight": matrix, f"{name}.bias": matrix[:1]}
    return shapes


def fold_batch_norms(weights: Mapping[str, np.ndarray], architecture: Architecture) -> FoldedWeights:
    """The weights, float32, with each batch norm folded into the convolution before it.

    Kernels keep their names, and the biases of convolutions have those of the norms' biases. The operations
    and their order are those of torch's `fuse_conv_bn_eval`, for bitwise equal results: otherwise some int8
    kernels would be rounded differently. `num_batches_tracked` is ignored.
    Raises CheckpointError if weights are missing, have another shape, or do not belong to the architecture.
    """
    shapes = weight_shapes(architecture)
    _check(weights, shapes)
    folded = {}
    for name, shape in shapes.items():
        if name.startswith("fc."):
            folded[name] = np.array(weights[name], np.float32)  # copied: read-only arrays cannot be shared
        elif len(shape) == 4:
            norm = norm_of(name.removesuffix(".weight"))
            kernels, gain, bias, mean, variance = (
                np.asarray(weights[part], np.float32)
                for part in (name, *(f"{norm}.{value}" for value in NORM))
            )
            inverse = 1 / np.sqrt(variance + EPSILON)
            folded[name] = np.multiply(kernels, (gain * inverse)[:, None, None, None], order="C")
            folded[f"{norm}.bias"] = -mean * inverse * gain + bias
    return folded


def norm_of(convolution: str) -> str:
    """The name of the batch norm after a convolution."""
    return convolution.replace("downsample.0", "downsample.1").replace("conv", "bn")


def blocks(stage: str) -> tuple[str, str]:
    """The names of a stage's two residual blocks."""
    return f"{stage}.0", f"{stage}.1"


def parameter(preprocess: Preprocess) -> ov.Node:
    """The graph's input: images, uint8 of shape (N, size, size, 3)."""
    shape = ov.PartialShape([-1, preprocess.size, preprocess.size, 3])
    return ops.parameter(shape, ov.Type.u8, name="pictures")


def normalize(pictures: ov.Node, preprocess: Preprocess) -> ov.Output:
    """`Preprocess.normalize`: float32 of shape (N, 3, size, size)."""
    scale = 1 / (255 * np.array(preprocess.std, np.float32))
    shift = np.array(preprocess.mean, np.float32) * 255 * scale
    values = ops.transpose(ops.convert(pictures, "f32"), np.array([0, 3, 1, 2]))
    scaled = ops.multiply(values, _by_channel(scale, "scale"), name="scaled")
    return ops.add(scaled, _by_channel(-shift, "shift"), name="normalised").output(0)


def stem(folded: FoldedWeights, architecture: Architecture, pictures: ov.Output) -> ov.Output:
    """Feature maps before the first stage, (N, 64, H, W), of normalized images (N, 3, size, size)."""
    imagenet = architecture.stem == "imagenet"
    maps = convolution(folded, "conv1", pictures, 2 if imagenet else 1)
    maps = ops.relu(maps, name="relu").output(0)
    if imagenet:
        return _max_pool(maps, 3, 1)
    return _max_pool(maps) if architecture.stem == "small-pool" else maps


def after_stage(stage: str, architecture: Architecture, maps: ov.Output) -> ov.Output:
    """What the next stage takes of a stage's feature maps: `small-late-pool` pools those of the first."""
    return _max_pool(maps) if (architecture.stem, stage) == ("small-late-pool", STAGES[0]) else maps


def _max_pool(maps: ov.Output, side: int = 2, pad: int = 0) -> ov.Output:
    """The maximum over squares of `side`, every two pixels."""
    pool = ops.max_pool(maps, [2, 2], [1, 1], [pad, pad], [pad, pad], [side, side], name="maxpool")
    return pool.output(0)


def residual_block(folded: FoldedWeights, name: str, x: ov.Output) -> Block:
    """A residual block; it halves height and width if it has a `downsample`."""
    stride = stride_of(folded, name)
    middle = ops.relu(convolution(folded, f"{name}.conv1", x, stride), name=f"{name}.relu1").output(0)
    out = convolution(folded, f"{name}.conv2", middle)
    shortcut = x if stride == 1 else convolution(folded, f"{name}.downsample.0", x, stride)
    total = ops.add(out, shortcut, name=f"{name}.add")
    return Block(middle, ops.relu(total, name=f"{name}.relu2").output(0))


def stride_of(folded: FoldedWeights, block: str) -> int:
    """The stride of a block's first convolution and of its `downsample`."""
    return 2 if f"{block}.downsample.0.weight" in folded else 1


def convolution(folded: FoldedWeights, name: str, x: ov.Output, stride: int = 1) -> ov.Output:
    """A convolution, padded by half of its kernel, and the addition of its folded batch norm's bias."""
    kernels = constant(folded[f"{name}.weight"], f"{name}.weight")
    half = [folded[f"{name}.weight"].shape[2] // 2] * 2
    product = ops.convolution(x, kernels, [stride] * 2, half, half, [1, 1], name=name)
    norm = norm_of(name)
    return ops.add(product, _by_channel(folded[f"{norm}.bias"], f"{norm}.bias"), name=norm).output(0)


def head(folded: FoldedWeights, features: ov.Output) -> list[ov.Output]:
    """The head's activations for features (N, 512): hidden units (`mlp` only), and logits (N, 1)."""
    if "fc.weight" in folded:
        return [_linear(folded, "fc", features)]
    hidden = ops.relu(_linear(folded, "fc.0", features), name="fc.1").output(0)
    return [hidden, _linear(folded, "fc.3", hidden)]


def constant(values: np.ndarray, name: str) -> ov.Node:
    """A constant that shares memory with its values; these must not be modified afterwards."""
    node = ov.op.Constant(np.ascontiguousarray(values), shared_memory=True)
    node.set_friendly_name(name)
    return node


def _linear(folded: FoldedWeights, name: str, x: ov.Output) -> ov.Output:
    matrix = constant(folded[f"{name}.weight"], f"{name}.weight")
    product = ops.matmul(x, matrix, False, True, name=name)
    bias = constant(folded[f"{name}.bias"][None], f"{name}.bias")
    return ops.add(product, bias, name=f"{name}.add").output(0)


def _by_channel(values: np.ndarray, name: str) -> ov.Node:
    return constant(values.reshape(1, -1, 1, 1), name)


def _check(weights: Mapping[str, np.ndarray], shapes: Mapping[str, tuple[int, ...]]) -> None:
    wrong = [f"{name} is missing" for name in shapes if name not in weights]
    for name, value in weights.items():
        if name in shapes:
            if value.shape != shapes[name]:
                wrong.append(f"{name} has the shape {value.shape}, not {shapes[name]}")
        elif name.replace("num_batches_tracked", "running_mean") not in shapes:
            wrong.append(f"{name} is not one of its weights")
    if wrong:
        more = f", and {len(wrong) - 3} more" if len(wrong) > 3 else ""
        raise CheckpointError(f"the weights do not fit the network they name: {'; '.join(wrong[:3])}{more}")
