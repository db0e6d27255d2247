"""Distillation: the targets include the predictions of other networks, the teachers.

Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", arXiv 1503.02531. A given teacher answers
the augmented images that the student gets (Beyer et al. 2022, "Knowledge distillation: A good teacher is
patient and consistent", CVPR, arXiv 2106.05237). Without one, snapshots at the ends of learning-rate cycles
form an ensemble that teaches later cycles (Huang et al. 2017, "Snapshot Ensembles", ICLR, arXiv 1704.00109).
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from model.architecture import Stem
from model.network import logits
from training.data.transfer import to_device

SNAPSHOTS = 2

CPU = torch.device("cpu")
Weights = dict[str, Tensor]
Snapshot = tuple[Stem, Weights]


class Distillation:
    """Soft targets for `count` training images: by a given teacher, or else by the last SNAPSHOTS snapshots.

    A teacher predicts the batches as they are trained on, in each step; snapshots predict the images without
    augmentation, once a cycle.
    create_network: returns a network with a given stem. device: of all tensors but the snapshots.
    teacher: maps normalized images to logits (N, 1); a copy of it is used, in evaluation mode.
    """

    def __init__(
        self,
        count: int,
        create_network: Callable[[Stem], nn.Module],
        device: torch.device = CPU,
        teacher: nn.Module | None = None,
    ) -> None:
        self._create_network = create_network
        self.snapshots: list[Snapshot] = []
        self.soft_targets = torch.empty(count, device=device)
        self.teacher: nn.Module | None = None
        if teacher:
            own = copy.deepcopy(teacher).to(device).to(memory_format=torch.channels_last)
            self.teacher = own.eval().requires_grad_(False)

    def add_snapshot(self, stem: Stem, weights: Weights) -> None:
        """Add the network at the end of a cycle; the oldest of more than SNAPSHOTS are dropped.

        With a teacher there is no use for them, and they are not kept.
        """
        if not self.teacher:
            self.snapshots = [*self.snapshots, (stem, weights)][-SNAPSHOTS:]

    def update_soft_targets(self, predict: Callable[[nn.Module], Tensor]) -> None:
        """Set the soft targets to the sigmoid of the snapshots' mean logits; with a teacher, do nothing.

        predict: returns a network's logits for the training images, shape (count,), on the CPU.
        """
        if self.teacher:
            return
        predicted = []
        for stem, weights in self.snapshots:
            network = self._create_network(stem)
            network.load_state_dict(weights)
            predicted.append(predict(network))
        self.soft_targets = to_device(torch.stack(predicted).mean(0).sigmoid(), self.soft_targets.device)

    def blend(self, index: Tensor, images: Tensor, targets: Tensor, weight: float) -> Tensor:
        """(1 - weight) * targets + weight * soft targets, shape (N,).

        index: of the images among the training images. images: normalized, as the student gets them.
        """
        if not weight:
            return targets
        soft = predict(self.teacher, images) if self.teacher else self.soft_targets[index]
        return torch.lerp(targets, soft, weight)

    def state_dict(self) -> dict[str, Any]:
        return {"snapshots": self.snapshots, "soft_targets": self.soft_targets}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.snapshots = state["snapshots"]
        self.soft_targets.copy_(state["soft_targets"])


@torch.inference_mode()
def predict(network: nn.Module, images: Tensor) -> Tensor:
    """P(label 1) of normalized images (N, 3, H, W), float32 of shape (N,)."""
    return logits(network, images).float().sigmoid()
