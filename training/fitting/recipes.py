"""Recipes: named, frozen sets of training choices."""

from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from model.architecture import Architecture
from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from training.fitting.augmentation import UNCHANGED, Augmentation


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does, besides the data and the first weights.

    lr_cycles: for each cycle of the learning rate, the side in pixels of the random windows that each
        of its epochs trains on. Texture tells the classes apart and a small window shows it at a
        fraction of the cost; whole pictures come last.
    optimizer: `sgd` with Nesterov momentum, or `adam`.
    learning_rate: the peak of a cycle (Smith & Topin 2019, arXiv 1708.07120): up in a straight line
        over `warmup` of it, down in one to `final_lr_scale` times the peak over the rest.
    peak_lr_scales: for each cycle, what its peak is multiplied by; the last one stands for all that follow.
    prune_ratio: share of the well-answered pictures that an epoch leaves out (training.fitting.pruning). Not
        in the first cycle, where losses say little yet, and not in the last epoch of a cycle.
    distill_weight: for each cycle, the share of a picture's target that what earlier cycles' networks say of
        it takes (training.fitting.distillation), the label keeping the rest; the last one stands for all that
        follow.
    balance: weigh pictures so that both classes weigh the same.
    label_smoothing: targets are pulled from 0 and 1 towards 1/2 by half of this.
    ema_decay: decay per step of the exponential moving average of weights that is evaluated and saved;
        0 for the weights themselves.
    validation_fraction: share of the training pictures, drawn by `seed` in equal shares of each class, that
        is never trained on.
    init: the first weights, unless others are asked for (see training.fitting.initial_weights).
    patience: epochs on whole pictures without a better validation loss after which training stops.
    """

    name: str
    lr_cycles: tuple[tuple[int, ...], ...]
    architecture: Architecture = Architecture()
    preprocess: Preprocess = Preprocess()
    augmentation: Augmentation = Augmentation()
    batch_size: int = 256
    optimizer: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.2
    peak_lr_scales: tuple[float, ...] = (1.0,)
    final_lr_scale: float = 0.0
    warmup: float = 0.2
    prune_ratio: float = 0.0
    distill_weight: tuple[float, ...] = (0.0,)
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
            raise ValueError(f"crop_sizes must be sides from 1 to {self.preprocess.size} pixels")
        if not self.peak_lr_scales:
            raise ValueError("peak_lr_scales must be one or more")
        if (
            not self.distill_weight
            or self.distill_weight[0]
            or not all(0 <= share <= 1 for share in self.distill_weight)
        ):
            raise ValueError(
                "distill_weight must be shares from 0 to 1, the first one 0: nothing is before it"
            )
        if self.batch_size < 2:
            raise ValueError("batch norm needs at least two pictures a batch")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(
                f"validation_fraction must be a share between 0 and 1, not {self.validation_fraction}"
            )
        if not 0 <= self.prune_ratio < 1:
            raise ValueError(f"prune_ratio must be a share from 0 to below 1, not {self.prune_ratio}")

    @property
    def crop_sizes(self) -> tuple[int, ...]:
        """The window of each epoch, all cycles in a row."""
        return tuple(chain.from_iterable(self.lr_cycles))

    @property
    def epochs(self) -> int:
        return len(self.crop_sizes)

    def locate(self, epoch: int) -> tuple[int, int]:
        """(cycle, epoch within it), both counted from 0, of epoch number `epoch`, counted from 1."""
        within = epoch - 1
        for number, cycle in enumerate(self.lr_cycles):
            if within < len(cycle):
                return number, within
            within -= len(cycle)
        raise ValueError(f"{self.name} has {self.epochs} epochs: no epoch {epoch}")

    def lr_at(self, epoch: int, part: float) -> float:
        """The learning rate when `part`, from 0 to 1, of epoch number `epoch` is done."""
        cycle, within = self.locate(epoch)
        progress = (within + part) / len(self.lr_cycles[cycle])
        peak = self.learning_rate * self.peak_lr_scales[min(cycle, len(self.peak_lr_scales) - 1)]
        if progress < self.warmup:
            return peak * progress / self.warmup
        left = (1 - progress) / (1 - self.warmup)
        return peak * (self.final_lr_scale + (1 - self.final_lr_scale) * left)


# Plain Adam on whole pictures at 224, as both hackathon projects publish it.
_PUBLISHED = Recipe(
    "published",
    lr_cycles=((224,),),
    preprocess=Preprocess(224),
    augmentation=replace(UNCHANGED, flip=True, rotate=10),
    optimizer="adam",
    learning_rate=1e-4,
    warmup=0.0,
    weight_decay=0.0,
    label_smoothing=0.0,
    ema_decay=0.0,
)

RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            "cifake",
            lr_cycles=(
                (16,) * 2 + (24,) * 3 + (32,) * 4,
                (24,) * 2 + (32,) * 8,
                (24,) * 4 + (32,) * 15,
                (32,) * 14,
            ),
            peak_lr_scales=(1.0, 1.0, 0.5, 0.35),
            prune_ratio=0.65,
            distill_weight=(0.0, 0.0, 0.0, 0.7),
            patience=24,
        ),
        # A first look at new pictures, or at what chance does: a fifteenth of the work.
        Recipe("quick", lr_cycles=((16, 16, 24, 32),)),
        # Synergy'25. The publication says flips and slight rotations; 10 degrees are ours.
        replace(
            _PUBLISHED,
            name="synergy",
            lr_cycles=((224,) * 5,),
            architecture=Architecture("imagenet", "mlp", dropout=0.3),
            preprocess=Preprocess(224, IMAGENET_MEAN, IMAGENET_STD),
            batch_size=16,
            final_lr_scale=1.0,
            validation_fraction=0.1,
        ),
        # Predictathon 2025. It says flip, rotation, brightness, balancing, early stopping, dropout and a
        # schedule, not how much of each: 10 degrees, a fifth, patience 3, 0.3 and a line to zero are ours.
        replace(
            _PUBLISHED,
            name="predictathon",
            lr_cycles=((224,) * 10,),
            architecture=Architecture("imagenet", "linear", dropout=0.3),
            preprocess=Preprocess(224, HALF, HALF),
            augmentation=replace(_PUBLISHED.augmentation, brightness=0.2),
            batch_size=32,
            balance=True,
            validation_fraction=0.2,
            patience=3,
        ),
        # Ours for the same 2,000 pictures: the shipped model, tuned gently.
        Recipe(
            "hackathon",
            lr_cycles=((32,) * 5,),
            init="shipped",
            batch_size=64,
            learning_rate=0.005,
            ema_decay=0.98,
            validation_fraction=0.1,
        ),
    ]
}
