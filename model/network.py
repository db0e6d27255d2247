"""The network: torchvision's ResNet18 with a configurable stem and head, or one of model.backbones.

He et al. 2016, "Deep Residual Learning for Image Recognition", doi 10.1109/CVPR.2016.90.
"""

from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torchvision.models import resnet18

from model.architecture import BACKBONES, FEATURES, RESNET18, STAGES, STEM, Architecture, Stem
from model.backbones import BackboneNetwork
from model.images.preprocess import Preprocess


class TinyConv2d(nn.Conv2d):
    """A convolution with an odd kernel and padding of half the kernel, faster on 1x1 and 2x2 feature maps.

    On a 1x1 map only the kernel's centre is multiplied with the input, for any stride. On a 2x2 map each
    output of a 3x3 kernel with stride 1 depends on all four inputs through four of the nine kernel positions,
    so the layer is one matrix product with 16/36 of the multiplications. The last stage of a ResNet18 with
    `small-pool` stem has such maps for 32x32 images, and a training step takes a quarter less time.
    Parameters and results are those of `nn.Conv2d`.

    It also avoids a bug: in bf16, oneDNN (as of torch 2.14, on CPUs with AVX512-BF16) leaves the weight
    gradient of a strided convolution over a 1x1 map uninitialised outside the kernel's centre.
    """

    @classmethod
    def from_conv(cls, conv: nn.Conv2d) -> "TinyConv2d":
        """A TinyConv2d with a copy of the convolution's parameters. Draws no random numbers."""
        with torch.random.fork_rng(devices=[]):
            tiny = cls(
                conv.in_channels,
                conv.out_channels,
                conv.kernel_size,  # type: ignore[arg-type]
                conv.stride,  # type: ignore[arg-type]
                conv.padding,  # type: ignore[arg-type]
                bias=conv.bias is not None,
            )
        tiny.load_state_dict(conv.state_dict())
        return tiny

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that nn.Conv2d gives it
        count, channels, height, width = input.shape
        kernel = self.weight
        if height == width == 2 and self.kernel_size == (3, 3) and self.stride == (1, 1):
            # Row (position, output channel): the 2x2 part of the kernel over the map at that output position.
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
    """The network with random weights from torch's global generator.

    It maps normalized images, float of shape (N, 3, H, W), to logits of shape (N, 1). Raises BackboneError
    where the backbone is built by timm, and that is missing.
    """
    if architecture.backbone != RESNET18:
        return BackboneNetwork(architecture, _backbone_head(architecture))
    network = resnet18(weights=None, zero_init_residual=True)
    if architecture.stem != "imagenet":
        network.conv1 = nn.Conv2d(3, 64, kernel_size=3, padding=1, bias=False)
        nn.init.kaiming_normal_(network.conv1.weight, mode="fan_out", nonlinearity="relu")
        place_pool(network, architecture.stem)
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.Conv2d) and child.kernel_size != (1, 1):
                setattr(parent, name, TinyConv2d.from_conv(child))
    if architecture.head == "linear":
        network.fc = nn.Linear(FEATURES, 1)
        # Dropout follows the average pooling, so that the state dict has `fc.weight` and `fc.bias`.
        network.avgpool = nn.Sequential(network.avgpool, nn.Dropout(architecture.dropout))
    else:
        network.fc = _mlp(FEATURES, architecture.dropout)
    return network


def place_pool(network: nn.Module, stem: Stem) -> None:
    """Put the 2x2 max-pool of a ResNet18 for small images where `stem` has it, in place.

    All stems but `imagenet` have the same parameters, which stay the same tensors.
    """
    blocks = [
        block for block in network.get_submodule("layer1").children() if not isinstance(block, nn.MaxPool2d)
    ]
    late = [nn.MaxPool2d(2)] if stem == "small-late-pool" else []
    network.layer1 = nn.Sequential(*blocks, *late)
    network.maxpool = nn.MaxPool2d(2) if stem == "small-pool" else nn.Identity()


def _backbone_head(architecture: Architecture) -> nn.Module:
    features = BACKBONES[architecture.backbone].features
    if architecture.head == "mlp":
        return _mlp(features, architecture.dropout)
    return nn.Sequential(nn.Dropout(architecture.dropout), nn.Linear(features, 1))


def _mlp(features: int, dropout: float) -> nn.Module:
    return nn.Sequential(nn.Linear(features, 128), nn.ReLU(), nn.Dropout(dropout), nn.Linear(128, 1))


def logits(network: nn.Module, images: Tensor) -> Tensor:
    """Logits of label 1, shape (N,), for normalized images of shape (N, 3, H, W)."""
    return network(images).flatten()


@torch.inference_mode()
def predict_logits(network: nn.Module, images: Tensor, preprocess: Preprocess, batch_size: int) -> Tensor:
    """`logits` of uint8 images (N, 3, H, W) in batches. Sets evaluation mode; the result is on the CPU."""
    network.eval()
    device = next(network.parameters()).device
    batches = images.split(batch_size)
    return torch.cat([logits(network, preprocess.normalize(batch.to(device))) for batch in batches]).cpu()


def stages(network: nn.Module, images: Tensor) -> Iterator[Tensor]:
    """Feature maps after the stem and after each of the four stages, for normalized images (N, 3, H, W)."""
    x = images
    for name in STEM:
        x = network.get_submodule(name)(x)
    yield x
    for name in STAGES:
        x = network.get_submodule(name)(x)
        yield x


def features(network: nn.Module, images: Tensor) -> Tensor:
    """What the head takes, shape (N, features), of normalized images (N, 3, H, W)."""
    if isinstance(network, BackboneNetwork):
        return network.features(images)
    *_, last = stages(network, images)
    return pooled(network, last)


def pooled(network: nn.Module, last: Tensor) -> Tensor:
    """ResNet18's features, shape (N, FEATURES), from the maps after the last stage, (N, FEATURES, H, W)."""
    return torch.flatten(network.get_submodule("avgpool")(last), 1)


def head(network: nn.Module, features: Tensor) -> Tensor:
    """Logits of label 1, shape (N,), from the features, (N, features)."""
    return head_module(network)(features).flatten()


def head_module(network: nn.Module) -> nn.Module:
    """The layers after the features."""
    return network.get_submodule("head" if isinstance(network, BackboneNetwork) else "fc")


def logits_and_means(network: nn.Module, images: Tensor) -> tuple[Tensor, Tensor]:
    """Logits of label 1, shape (N,), and what `model.ood` judges by, shape (N, `Architecture.ood_features`).

    Of ResNet18 these are the channel means, over height and width, after the stem and the first three stages,
    of another backbone the features that its head takes.
    """
    if isinstance(network, BackboneNetwork):
        values = network.features(images)
        return head(network, values), values
    *early, last = stages(network, images)
    return head(network, pooled(network, last)), torch.cat([maps.mean((2, 3)) for maps in early], 1)


def fuse_batch_norms(network: nn.Module) -> nn.Module:
    """Fuse each batch norm into the convolution before it, in place. The network is in evaluation mode.

    A subclass of batch norm is left as it is: timm's compute an activation, too.
    """
    previous: tuple[nn.Module, str, nn.Conv2d] | None = None
    for parent in network.modules():
        for name, child in list(parent.named_children()):
            if type(child) is nn.BatchNorm2d and previous and previous[0] is parent:
                setattr(parent, previous[1], fuse_conv_bn_eval(previous[2], child))
                setattr(parent, name, nn.Identity())
            previous = (parent, name, child) if isinstance(child, nn.Conv2d) else None
    return network
