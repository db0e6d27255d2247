"""The network: torchvision's ResNet18 with a choice of stem and head.

He et al. 2016, "Deep Residual Learning for Image Recognition", doi 10.1109/CVPR.2016.90.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet18

from model.architecture import FEATURES, STAGES, STEM, Architecture


class TinyConv2d(nn.Conv2d):
    """A convolution of odd kernel, padded by half of it, that skips the padding where the map is tiny.

    On a 1x1 map only the middle tap counts, whatever the stride. On a 2x2 map each output of a 3x3 kernel of
    stride 1 sees all four inputs through four of the nine taps, so the layer is one matrix product with 16/36
    of the multiplications. With 32x32 pictures the last stage of a pooled ResNet18 works on such maps, and a
    training step takes a quarter less time for it. Weights and results are those of `nn.Conv2d`.

    It is not only for speed: in bf16, oneDNN (as of torch 2.14, on CPUs with AVX512-BF16) leaves the gradient
    of the taps that a strided kernel lays beside a 1x1 map uninitialised.
    """

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        count, channels, height, width = input.shape
        kernel = self.weight
        if height == width == 2 and self.kernel_size == (3, 3) and self.stride == (1, 1):
            # Row (position, out) of the matrix: the taps that output position lays over the map.
            corners = [kernel[:, :, y : y + 2, x : x + 2] for y in (1, 0) for x in (1, 0)]
            matrix = torch.stack(corners).permute(0, 1, 3, 4, 2).reshape(4 * len(kernel), -1)
            bias = None if self.bias is None else self.bias.repeat(4)
            output = F.linear(input.permute(0, 2, 3, 1).reshape(count, -1), matrix, bias)
            return output.view(count, 2, 2, -1).permute(0, 3, 1, 2)
        if height == width == 1:
            middle = kernel[:, :, kernel.shape[2] // 2, kernel.shape[3] // 2]
            return F.linear(input.reshape(count, channels), middle, self.bias).view(count, -1, 1, 1)
        return super().forward(input)


def build_network(architecture: Architecture) -> nn.Module:
    """A ResNet18 with random weights.

    It maps normalised pictures, float of shape (N, 3, H, W), to logits of shape (N, 1);
    `logits` flattens them.
    """
    network = resnet18(weights=None, zero_init_residual=True)
    if architecture.stem != "imagenet":
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        pool = architecture.stem == "small-pool"
        network.maxpool = nn.MaxPool2d(2) if pool else nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.__class__ = TinyConv2d
    if architecture.head == "linear":
        network.fc = nn.Linear(FEATURES, 1)
        # Beside the pool and not in `fc`, whose names in the state dict are those of a bare linear layer.
        network.avgpool = nn.Sequential(network.avgpool, nn.Dropout(architecture.dropout))
    else:
        network.fc = nn.Sequential(
            nn.Linear(FEATURES, 128), nn.ReLU(), nn.Dropout(architecture.dropout), nn.Linear(128, 1)
        )
    return network


def logits(network: nn.Module, pictures: Tensor) -> Tensor:
    """Logits of label 1, shape (N,), for normalised pictures of shape (N, 3, H, W)."""
    return network(pictures).flatten()


def stages(network: nn.Module, pictures: Tensor) -> Iterator[Tensor]:
    """The maps after the stem and after each of the four stages, for normalised pictures (N, 3, H, W)."""
    x = pictures
    for name in STEM:
        x = network.get_submodule(name)(x)
    yield x
    for name in STAGES:
        x = network.get_submodule(name)(x)
        yield x


def head(network: nn.Module, last: Tensor) -> Tensor:
    """Logits of label 1, shape (N,), from the maps after the last stage."""
    features = torch.flatten(network.get_submodule("avgpool")(last), 1)
    return network.get_submodule("fc")(features).flatten()


def logits_and_means(network: nn.Module, pictures: Tensor) -> tuple[Tensor, Tensor]:
    """What `logits` gives, and the mean of each channel after the stem and the first three stages.

    The means have shape (N, CHANNEL_MEANS); they are what `model.ood` looks at.
    """
    *early, last = stages(network, pictures)
    return head(network, last), torch.cat([maps.mean((2, 3)) for maps in early], 1)


def folded(network: nn.Module) -> nn.Module:
    """The network, in evaluation mode, each batch norm made part of the convolution before it, in place."""
    before: tuple[nn.Module, str, nn.Conv2d] | None = None
    for parent in network.modules():
        for name, child in list(parent.named_children()):
            if isinstance(child, nn.BatchNorm2d) and before and before[0] is parent:
                setattr(parent, before[1], fuse_conv_bn_eval(before[2], child))
                setattr(parent, name, nn.Identity())
            before = (parent, name, child) if isinstance(child, nn.Conv2d) else None
    return network
