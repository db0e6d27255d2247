"""Distillation: a cycle learns from what the networks at the ends of earlier cycles say together.

Networks that a cyclic learning rate left one after the other differ like an ensemble's (Huang et al. 2017,
"Snapshot Ensembles", ICLR, arXiv 1704.00109), and one network can be taught what an ensemble knows (Hinton
et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

TEACHERS = 2

Weights = dict[str, Tensor]


class Distillation:
    """The last two cycles' weights, and the probabilities that they give for `count` pictures.

    Both are asked about pictures as they are; the network that learns from them sees augmented ones.
    """

    def __init__(self, count: int) -> None:
        self.teachers: list[Weights] = []
        self.said = torch.empty(count)

    def remember(self, weights: Weights) -> None:
        """Make a cycle's last weights a teacher, in place of the oldest where there are two."""
        self.teachers = [*self.teachers, weights][-TEACHERS:]

    def ask(self, logits: Callable[[Weights], Tensor]) -> None:
        """Put the question to the teachers: `logits` answers, shape (count,), by given weights."""
        self.said = torch.stack([logits(teacher) for teacher in self.teachers]).mean(0).sigmoid()

    def towards(self, index: Tensor, targets: Tensor, share: float) -> Tensor:
        """The targets of the pictures at `index`, both of shape (N,), moved by `share` to what was said."""
        return torch.lerp(targets, self.said[index], share) if share else targets

    def state_dict(self) -> dict[str, Any]:
        return {"teachers": self.teachers, "said": self.said}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.teachers, self.said = state["teachers"], state["said"]
