"""Data pruning: images with a low loss are trained on in fewer epochs.

Qin et al. 2024, "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR,
arXiv 2303.04947.
"""

import math

import torch
from torch import Tensor


class Pruning:
    """The last training loss of each of `count` images, and the selection of an epoch's images by it.

    ratio: probability in [0, 1) with which an image whose loss is below the mean is left out of an epoch.
        The remaining ones of these have weight 1 / (1 - ratio), which keeps the expected gradient.
    """

    def __init__(self, count: int, ratio: float) -> None:
        self.ratio = ratio
        self.losses = torch.full((count,), math.inf)  # infinite until trained on: never left out

    def select(self, generator: torch.Generator, keep_all: bool = False) -> tuple[Tensor, Tensor]:
        """Indices of an epoch's images in random order, shape (M,), and their weights, shape (M,)."""
        order = torch.randperm(len(self.losses), generator=generator)
        if keep_all:
            return order, torch.ones(len(order))
        mean = self.losses[self.losses.isfinite()].mean()  # NaN, for which no image is easy, at first
        easy = (self.losses < mean)[order]
        kept = ~easy | (torch.rand(len(order), generator=generator) >= self.ratio)
        weights = torch.where(easy, 1 / (1 - self.ratio), 1.0)
        return order[kept], weights[kept]

    def update(self, index: Tensor, losses: Tensor) -> None:
        """Store the losses of the images at `index`; both of shape (N,)."""
        self.losses[index] = losses.detach().float().cpu()

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses = state["losses"]
