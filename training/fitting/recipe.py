"""A recipe: all settings of a training run."""

import math
from dataclasses import dataclass, replace
from itertools import chain
from typing import Any, Literal

import torch
from torch import nn

from model.architecture import RESNET18, Architecture, Stem
from model.images.preprocess import Preprocess
from training.fitting.augmentation import Augmentation


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run besides the data and the initial weights.

    lr_cycles: for each cycle of the learning rate, the crop size in pixels of each of its epochs (progressive
        resizing). Small crops cost less and show the texture that separates the classes; crops of the whole
        image come last.
    early_stems: stem of each of the first cycles, in place of the architecture's. The stems of ResNet18 for
        small images have the same parameters: one that costs less can train first.
    optimizer: `sgd` with Nesterov momentum, or `adam`.
    learning_rate: peak of a cycle (Smith & Topin 2019, arXiv 1708.07120); see `lr_at`.
    peak_lr_scales: factor of the peak for each cycle; the last one repeats.
    final_lr_scale: learning rate at the end of a cycle, as a fraction of its peak.
    warmup: fraction of a cycle, in [0, 1), during which the learning rate rises.
    prune_ratio: probability in [0, 1) of leaving out an image with a low loss (training.fitting.pruning). Not
        used in the first cycle, whose losses are not informative yet, nor in the last epoch of a cycle.
    distill_weight: for each cycle, the weight in [0, 1] of a teacher's predictions in the targets, or without
        one of earlier cycles' (training.fitting.distillation); the last one repeats.
    object_weight: for each cycle, the weight, at least 0, of an auxiliary loss: the cross-entropy of the ten
        classes of objects (training.data.object_classes), by a linear layer on the features that is not saved
        (multi-task learning, Caruana 1997, doi 10.1023/A:1007379606734); the last one repeats.
    qat_epochs: number of epochs, the last ones of the run, with kernels that are rounded as in int8
        (training.fitting.kernel_rounding). Only for ResNet18, as int8 is.
    teacher: the recipe of a network that is trained before, on the same images and from random weights, and
        whose predictions for each augmented batch are learnt.
    balance: weight images so that both classes have the same total weight.
    label_smoothing: targets are y * (1 - label_smoothing) + label_smoothing / 2.
    ema_decay: decay per step of the exponential moving average of the weights, which is validated and saved;
        0 means no averaging.
    validation_fraction: fraction of the training images held out for validation, stratified by class and
        drawn by `seed`.
    init: default initial weights (training.fitting.initial_weights).
    patience: early stopping after this many epochs on whole images without a lower validation loss.
    """

    name: str
    lr_cycles: tuple[tuple[int, ...], ...]
    architecture: Architecture = Architecture()
    preprocess: Preprocess = Preprocess()
    augmentation: Augmentation = Augmentation()
    early_stems: tuple[Stem, ...] = ()
    batch_size: int = 256
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.2
    peak_lr_scales: tuple[float, ...] = (1.0,)
    final_lr_scale: float = 0.0
    warmup: float = 0.2
    prune_ratio: float = 0.0
    distill_weight: tuple[float, ...] = (0.0,)
    object_weight: tuple[float, ...] = (0.0,)
    qat_epochs: int = 0
    teacher: "Recipe | None" = None
    momentum: float = 0.9
    weight_decay: float = 5e-4
    balance: bool = False
    label_smoothing: float = 0.04
    ema_decay: float = 0.995
    validation_fraction: float = 0.04
    init: str = "none"
    patience: int = 5
    seed: int = 2025

    def __post_init__(self) -> None:
        if not self.lr_cycles or not all(self.lr_cycles):
            raise ValueError("lr_cycles must be one or more, of one epoch or more")
        if not all(0 < side <= self.preprocess.size for side in self.crop_sizes):
            raise ValueError(f"crop_sizes must be from 1 to {self.preprocess.size} pixels")
        if self.early_stems and len(self.early_stems) >= len(self.lr_cycles):
            raise ValueError(
                "early_stems must be fewer than lr_cycles: the last cycle has the architecture's"
            )
        if self.early_stems and (self.architecture.backbone != RESNET18 or "imagenet" in self.stems):
            raise ValueError(
                "early_stems must be stems of ResNet18 for small images, and so must the last one"
            )
        if not self.peak_lr_scales:
            raise ValueError("peak_lr_scales must be one or more")
        if not self.distill_weight or not all(0 <= weight <= 1 for weight in self.distill_weight):
            raise ValueError("distill_weight must be one or more, from 0 to 1")
        if not self.object_weight or not all(0 <= weight < math.inf for weight in self.object_weight):
            raise ValueError("object_weight must be one or more numbers of at least 0")
        if self.qat_epochs < 0:
            raise ValueError("qat_epochs must be at least 0")
        if self.teacher and (self.teacher.preprocess != self.preprocess or self.teacher.init != "none"):
            raise ValueError("a teacher must have the same preprocess, and start from random weights")
        if not 0 <= self.learning_rate < math.inf:
            raise ValueError(f"learning_rate must be a number of at least 0, not {self.learning_rate}")
        if self.batch_size < 2:
            raise ValueError("batch_size must be at least 2, for batch norm")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction must be between 0 and 1, not {self.validation_fraction}")
        if not 0 <= self.prune_ratio < 1:
            raise ValueError(f"prune_ratio must be from 0 to below 1, not {self.prune_ratio}")

    @property
    def crop_sizes(self) -> tuple[int, ...]:
        """The crop size of each epoch, over all cycles."""
        return tuple(chain.from_iterable(self.lr_cycles))

    @property
    def epochs(self) -> int:
        return len(self.crop_sizes)

    @property
    def stems(self) -> tuple[Stem, ...]:
        """The stem of each cycle."""
        later = len(self.lr_cycles) - len(self.early_stems)
        return (*self.early_stems, *(self.architecture.stem,) * later)

    @property
    def learns_objects(self) -> bool:
        """Whether a cycle has an `object_weight` other than 0."""
        return any(value_of_cycle(self.object_weight, cycle) for cycle in range(len(self.lr_cycles)))

    def rounds_kernels(self, epoch: int) -> bool:
        """Whether an epoch, counted from 1, has quantization-aware training."""
        return self.architecture.backbone == RESNET18 and epoch > self.epochs - self.qat_epochs

    def override(
        self,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        seed: int | None = None,
        backbone: str | None = None,
    ) -> "Recipe":
        """The recipe with other values, and a teacher's too but for the backbone; None keeps its own.

        Another number of epochs is one cycle of the learning rate, on whole pictures. Raises ValueError.
        """
        values = {"batch_size": batch_size, "learning_rate": learning_rate, "seed": seed}
        changes: dict[str, Any] = {name: value for name, value in values.items() if value is not None}
        if epochs is not None and epochs != self.epochs:
            changes |= {"lr_cycles": ((self.preprocess.size,) * epochs,), "early_stems": ()}
        if self.teacher:
            changes["teacher"] = self.teacher.override(epochs, batch_size, learning_rate, seed)
        if backbone is not None:
            changes["architecture"] = self.architecture.with_backbone(backbone)
            if backbone != self.architecture.backbone:
                changes["early_stems"] = ()
        return replace(self, **changes)

    def locate(self, epoch: int) -> tuple[int, int]:
        """(cycle, epoch in the cycle), both counted from 0, of an epoch counted from 1."""
        epoch_in_cycle = epoch - 1
        for number, cycle in enumerate(self.lr_cycles):
            if epoch_in_cycle < len(cycle):
                return number, epoch_in_cycle
            epoch_in_cycle -= len(cycle)
        raise ValueError(f"{self.name} has {self.epochs} epochs: no epoch {epoch}")

    def lr_at(self, epoch: int, fraction: float) -> float:
        """The learning rate after a fraction, in [0, 1], of an epoch counted from 1.

        In each cycle it rises linearly from 0 to the peak and then falls linearly to `final_lr_scale` times
        the peak. It is a function of fractional epochs, whereas torch.optim.lr_scheduler counts optimizer
        steps: how many an epoch has depends on pruning and is known only when it begins.
        """
        cycle, epoch_in_cycle = self.locate(epoch)
        progress = (epoch_in_cycle + fraction) / len(self.lr_cycles[cycle])
        peak = self.learning_rate * value_of_cycle(self.peak_lr_scales, cycle)
        if progress < self.warmup:
            return peak * progress / self.warmup
        remaining = (1 - progress) / (1 - self.warmup)
        return peak * (self.final_lr_scale + (1 - self.final_lr_scale) * remaining)

    def create_optimizer(self, network: nn.Module) -> torch.optim.Optimizer:
        """The optimizer, with weight decay for kernels and matrices but not for batch norms and biases."""
        groups = [
            {"params": [p for p in network.parameters() if p.ndim > 1], "weight_decay": self.weight_decay},
            {"params": [p for p in network.parameters() if p.ndim <= 1], "weight_decay": 0.0},
        ]
        if self.optimizer == "adam":
            return torch.optim.Adam(groups, lr=self.learning_rate)
        return torch.optim.SGD(groups, lr=self.learning_rate, momentum=self.momentum, nesterov=True)


def value_of_cycle(values: tuple[float, ...], cycle: int) -> float:
    """The value for a cycle counted from 0; the last value repeats."""
    return values[min(cycle, len(values) - 1)]
