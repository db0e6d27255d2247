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


def grad_cam(network: nn.Module, pictures: Tensor, layer: str = LAYER) -> Tensor:
    """How much each place speaks for the label that is answered, float (N, H, W) in [0, 1].

    pictures: normalised, float of shape (N, 3, H, W). layer: one of `model.architecture.STAGES`.
    A channel's weight is the mean over places of the gradient of the answered label's logit; the
    weighted sum of channels, where positive, is brought to the picture's size (bilinear) and divided
    by its largest value. All zeros where nothing speaks for the label.
    """
    if layer not in STAGES:
        raise ValueError(f"no layer {layer!r}: one of {', '.join(STAGES)}")
    with torch.no_grad():
        maps = next(islice(stages(network, pictures), STAGES.index(layer) + 1, None))
    with torch.enable_grad():
        last = maps.requires_grad_()
        for name in STAGES[STAGES.index(layer) + 1 :]:
            last = network.get_submodule(name)(last)
        z = head(network, last)
        [gradient] = torch.autograd.grad(z.abs().sum(), maps)  # |z| is the answered label's logit
    weights = gradient.mean((2, 3), keepdim=True)
    heat = F.relu((weights * maps.detach()).sum(1, keepdim=True))
    heat = F.interpolate(heat, pictures.shape[2:], mode="bilinear", align_corners=False)[:, 0]
    return heat / heat.amax((1, 2), keepdim=True).clamp_min(1e-12)
