"""Grad-CAM heat maps.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2.
"""

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.architecture import GRAD_CAM_LAYER, STAGES
from model.network import head, stages


def grad_cam(network: nn.Module, pictures: Tensor, sign: Tensor, layer: str = GRAD_CAM_LAYER) -> Tensor:
    """A heat map for one target label of each image, float of shape (N, H, W) in [0, 1].

    pictures: normalized images, float of shape (N, 3, H, W). sign: float of shape (N,), +1 if the target is
    label 1 and -1 if it is label 0. layer: one of `model.architecture.STAGES`.
    A channel's weight is the spatial mean of the gradient of the target's logit, `sign * z`. The weighted sum
    of channels, clipped at 0, is resized to the image's size (bilinear) and divided by its maximum; it is 0
    everywhere if that is 0. Raises ValueError for another layer or another number of signs.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    if sign.shape != pictures.shape[:1]:
        raise ValueError(f"{len(pictures)} pictures need as many signs, not {tuple(sign.shape)}")
    with torch.no_grad():
        maps = next(islice(stages(network, pictures), STAGES.index(layer) + 1, None))
    with torch.enable_grad():
        last = maps.requires_grad_()
        for name in STAGES[STAGES.index(layer) + 1 :]:
            last = network.get_submodule(name)(last)
        z = head(network, last)
        [gradient] = torch.autograd.grad((sign * z).sum(), maps)
    weights = gradient.mean((2, 3), keepdim=True)
    heat = F.relu((weights * maps.detach()).sum(1, keepdim=True))
    heat = F.interpolate(heat, pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)
