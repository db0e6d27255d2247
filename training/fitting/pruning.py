"""Data pruning: images with a low loss are trained on in fewer epochs.

Qin et al. 2024, "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR,
arXiv 2303.04947.
"""

import math

import torch
from torch import Tensor

from training.data.transfer import to_device

CPU = torch.device("cpu")


class Pruning:
    """The last training loss of each of `count` images, and the selection of an epoch's images by it.

    ratio: probability in [0, 1) with which an image whose loss is below the mean is left out of an epoch.
        The remaining ones of these have weight 1 / (1 - ratio), which keeps the expected gradient.
    device: of the losses, and of what `select` returns.
    """

    def __init__(self, count: int, ratio: float, device: torch.device = CPU) -> None:
        self.ratio = ratio
        # Infinite until trained on: never left out.
        self.losses = torch.full((count,), math.inf, device=device)

    def select(self, generator: torch.Generator, keep_all: bool = False) -> tuple[Tensor, Tensor]:
        """Indices of an epoch's images in random order, shape (M,), and their weights, shape (M,).

        generator: of the CPU, where the images are chosen: the same for all devices.
        """
        order = torch.randperm(len(self.losses), generator=generator)
        weights = torch.ones(len(order))
        if not keep_all:
            losses = self.losses.cpu()
            mean = losses[losses.isfinite()].mean()  # NaN, for which no image is easy, at first
            easy = (losses < mean)[order]
            kept = ~easy | (torch.rand(len(order), generator=generator) >= self.ratio)
            weights = torch.where(easy, 1 / (1 - self.ratio), 1.0)[kept]
            order = order[kept]
        return to_device(order, self.losses.device), to_device(weights, self.losses.device)

    def update(self, index: Tensor, losses: Tensor) -> None:
        """Store the losses of the images at `index`; both of shape (N,), on the device."""
        self.losses[index] = losses.detach().float()

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses.copy_(state["losses"])
