"""Pruning: pictures that the network already answers well are trained on less often.

Qin et al. 2024, "InfoBatch: Lossless Training Speed Up by Unbiased Dynamic Data Pruning", ICLR,
arXiv 2303.04947.
"""

import math

import torch
from torch import Tensor


class Pruning:
    """Remembers the loss that each of `count` pictures had when it was last trained on.

    share: probability in [0, 1) with which a picture whose loss is below the mean of all is left
        out of an epoch. Those that stay weigh 1 / (1 - share), so that the expected gradient is
        that of all pictures.
    """

    def __init__(self, count: int, share: float) -> None:
        self.share = share
        self.losses = torch.full((count,), math.inf)  # not trained on yet, and so never left out

    def choose(self, random: torch.Generator, everything: bool = False) -> tuple[Tensor, Tensor]:
        """Indices of an epoch's pictures in random order, shape (M,), and their weights, shape (M,)."""
        order = torch.randperm(len(self.losses), generator=random)
        if everything:
            return order, torch.ones(len(order))
        mean = self.losses[self.losses.isfinite()].mean()  # NaN, below which nothing is, at first
        easy = (self.losses < mean)[order]
        kept = ~easy | (torch.rand(len(order), generator=random) >= self.share)
        weights = torch.where(easy, 1 / (1 - self.share), 1.0)
        return order[kept], weights[kept]

    def record(self, index: Tensor, losses: Tensor) -> None:
        """The losses that the pictures at `index` had now; both of shape (N,)."""
        self.losses[index] = losses.detach().float().cpu()

    def state_dict(self) -> dict[str, Tensor]:
        return {"losses": self.losses}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.losses = state["losses"]
