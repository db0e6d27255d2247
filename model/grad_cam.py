"""Where in a picture the network saw what it says: Grad-CAM.

Selvaraju et al. 2017, "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
Localization", ICCV, arXiv 1610.02391, equations 1 and 2.
"""

from itertools import islice

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.architecture import LAYER, STAGES
from model.network import head, stages


def grad_cam(network: nn.Module, pictures: Tensor, sign: Tensor, layer: str = LAYER) -> Tensor:
    """How much each place speaks for one label of each picture, float (N, H, W) in [0, 1].

    pictures: normalised, float of shape (N, 3, H, W). sign: float of shape (N,), +1 where that label is
    label 1 and -1 where it is label 0. layer: one of `model.architecture.STAGES`.
    A channel's weight is the mean over places of the gradient of that label's logit, `sign * z`; the
    weighted sum of channels, where positive, is brought to the picture's size (bilinear) and divided
    by its largest value. All zeros where nothing speaks for the label. Raises ValueError for another layer
    or another number of signs.
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
