"""Grad-CAM heat maps.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2.
"""

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.architecture import GRAD_CAM_LAYER, STAGES
from model.backbones import BackboneNetwork
from model.network import head, logits, pooled, stages


def grad_cam(network: nn.Module, pictures: Tensor, sign: Tensor, layer: str = GRAD_CAM_LAYER) -> Tensor:
    """A heat map for one target label of each image, float of shape (N, H, W) in [0, 1].

    pictures: normalized images, float of shape (N, 3, H, W). sign: float of shape (N,), +1 if the target is
    label 1 and -1 if it is label 0. layer: one of `model.architecture.STAGES`; for other backbones than
    ResNet18 see `BackboneNetwork.stage`.
    A channel's weight is the spatial mean of the gradient of the target's logit, `sign * z`. The weighted sum
    of channels, clipped at 0, is resized to the image's size (bilinear) and divided by its maximum; it is 0
    everywhere if that is 0. Raises ValueError for another layer or another number of signs.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    if sign.shape != pictures.shape[:1]:
        raise ValueError(f"{len(pictures)} pictures need as many signs, not {tuple(sign.shape)}")
    if isinstance(network, BackboneNetwork):
        maps, z = _forward_backbone(network, pictures, layer)
        gradient = network.to_maps(_gradient(sign, z, maps))
        maps = network.to_maps(maps)
    else:
        maps, z = _forward_resnet18(network, pictures, layer)
        gradient = _gradient(sign, z, maps)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = F.relu((weights * maps.detach()).sum(1, keepdim=True))
    heat = F.interpolate(heat, pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)


def _gradient(sign: Tensor, z: Tensor, maps: Tensor) -> Tensor:
    with torch.enable_grad():
        [gradient] = torch.autograd.grad((sign * z).sum(), maps)
    return gradient


def _forward_resnet18(network: nn.Module, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """Feature maps after the layer, and logits with their graph from these on."""
    with torch.no_grad():
        maps = next(islice(stages(network, pictures), STAGES.index(layer) + 1, None))
    with torch.enable_grad():
        last = maps.requires_grad_()
        for name in STAGES[STAGES.index(layer) + 1 :]:
            last = network.get_submodule(name)(last)
        return maps, head(network, pooled(network, last))


def _forward_backbone(network: BackboneNetwork, pictures: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The same; of a vision transformer its tokens, (N, tokens, channels), instead of feature maps."""
    outputs: list[Tensor] = []

    def keep(module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        outputs.append(output.detach().requires_grad_())
        return outputs[0]

    with network.stage(layer).register_forward_hook(keep), torch.enable_grad():
        z = logits(network, pictures)
    return outputs[0], z
