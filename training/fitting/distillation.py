"""Self-distillation from snapshots: a cycle's targets include the predictions of earlier cycles' networks.

Snapshots at the ends of learning-rate cycles form an ensemble (Huang et al. 2017, "Snapshot Ensembles", ICLR,
arXiv 1704.00109), and one network can be trained on the predictions of an ensemble (Hinton et al. 2015,
"Distilling the Knowledge in a Neural Network", arXiv 1503.02531).
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

TEACHERS = 2

Weights = dict[str, Tensor]


class Distillation:
    """The last TEACHERS snapshots, and soft targets by them for `count` training images.

    Soft targets are of images without augmentation; the student is trained on augmented ones.
    create_network: returns a network that the weights of a snapshot fit.
    """

    def __init__(self, count: int, create_network: Callable[[], nn.Module]) -> None:
        self._create_network = create_network
        self.teachers: list[Weights] = []
        self.soft_targets = torch.empty(count)

    def add_teacher(self, weights: Weights) -> None:
        """Add the weights at the end of a cycle; the oldest of more than TEACHERS are dropped."""
        self.teachers = [*self.teachers, weights][-TEACHERS:]

    def update_soft_targets(self, predict: Callable[[nn.Module], Tensor]) -> None:
        """Set the soft targets to the sigmoid of the teachers' mean logits.

        predict: returns a network's logits for the training images, shape (count,).
        """
        logits = []
        for weights in self.teachers:
            network = self._create_network()
            network.load_state_dict(weights)
            logits.append(predict(network))
        self.soft_targets = torch.stack(logits).mean(0).sigmoid()

    def blend(self, index: Tensor, targets: Tensor, weight: float) -> Tensor:
        """(1 - weight) * targets + weight * soft targets of the images at `index`; both of shape (N,)."""
        return torch.lerp(targets, self.soft_targets[index], weight) if weight else targets

    def state_dict(self) -> dict[str, Any]:
        return {"teachers": self.teachers, "soft_targets": self.soft_targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.teachers, self.soft_targets = state["teachers"], state["soft_targets"]
