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

    cycles: for each cycle of the learning rate, the side in pixels of the random windows that each
        of its epochs trains on. Texture tells the classes apart and a small window shows it at a
        fraction of the cost; whole pictures come last.
    optimiser: `sgd` with Nesterov momentum, or `adam`.
    learning_rate: the peak of a cycle (Smith & Topin 2019, arXiv 1708.07120): up in a straight line
        over `warmup` of it, down in one to `final_rate` times the peak over the rest.
    peaks: for each cycle, what its peak is multiplied by; the last one stands for all that follow.
    prune: share of the well-answered pictures that an epoch leaves out (see training.fitting.pruning). Not in
        the first cycle, where losses say little yet, and not in the last epoch of a cycle.
    distil: for each cycle, the share of a picture's target that what earlier cycles' networks say of it
        takes (training.fitting.distillation), the label keeping the rest; the last one stands for all that
        follow.
    balance: weigh pictures so that both classes weigh the same.
    label_smoothing: targets are pulled from 0 and 1 towards 1/2 by half of this.
    average: decay per step of the exponential moving average of weights that is evaluated and saved;
        0 for the weights themselves.
    validation: share of the training pictures, drawn by `seed` in equal shares of each class, that is
        never trained on.
    init: the first weights, unless others are asked for (see training.fitting.initial_weights).
    patience: epochs on whole pictures without a better validation loss after which training stops.
    """

    name: str
    cycles: tuple[tuple[int, ...], ...]
    architecture: Architecture = Architecture()
    preprocess: Preprocess = Preprocess()
    augmentation: Augmentation = Augmentation()
    batch_size: int = 256
    optimiser: Literal["sgd", "adam"] = "sgd"
    learning_rate: float = 0.2
    peaks: tuple[float, ...] = (1.0,)
    final_rate: float = 0.0
    warmup: float = 0.2
    prune: float = 0.0
    distil: tuple[float, ...] = (0.0,)
    momentum: float = 0.9
    weight_decay: float = 5e-4
    balance: bool = False
    label_smoothing: float = 0.04
    average: float = 0.995
    validation: float = 0.04
    init: str = "none"
    patience: int = 5
    seed: int = 2025

    def __post_init__(self) -> None:
        if not self.cycles or not all(self.cycles):
            raise ValueError("cycles must be one or more, of one epoch or more")
        if not all(0 < side <= self.preprocess.size for side in self.windows):
            raise ValueError(f"windows must be sides from 1 to {self.preprocess.size} pixels")
        if not self.peaks:
            raise ValueError("peaks must be one or more")
        if not self.distil or self.distil[0] or not all(0 <= share <= 1 for share in self.distil):
            raise ValueError("distil must be shares from 0 to 1, the first one 0: nothing is before it")
        if self.batch_size < 2:
            raise ValueError("batch norm needs at least two pictures a batch")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must be a share between 0 and 1, not {self.validation}")
        if not 0 <= self.prune < 1:
            raise ValueError(f"prune must be a share from 0 to below 1, not {self.prune}")

    @property
    def windows(self) -> tuple[int, ...]:
        """The window of each epoch, all cycles in a row."""
        return tuple(chain.from_iterable(self.cycles))

    @property
    def epochs(self) -> int:
        return len(self.windows)

    def place(self, epoch: int) -> tuple[int, int]:
        """(cycle, epoch within it), both counted from 0, of epoch number `epoch`, counted from 1."""
        within = epoch - 1
        for number, cycle in enumerate(self.cycles):
            if within < len(cycle):
                return number, within
            within -= len(cycle)
        raise ValueError(f"{self.name} has {self.epochs} epochs: no epoch {epoch}")

    def rate(self, epoch: int, part: float) -> float:
        """The learning rate when `part`, from 0 to 1, of epoch number `epoch` is done."""
        cycle, within = self.place(epoch)
        progress = (within + part) / len(self.cycles[cycle])
        peak = self.learning_rate * self.peaks[min(cycle, len(self.peaks) - 1)]
        if progress < self.warmup:
            return peak * progress / self.warmup
        left = (1 - progress) / (1 - self.warmup)
        return peak * (self.final_rate + (1 - self.final_rate) * left)


# Plain Adam on whole pictures at 224, as both hackathon projects publish it.
_PUBLISHED = Recipe(
    "published",
    cycles=((224,),),
    preprocess=Preprocess(224),
    augmentation=replace(UNCHANGED, flip=True, rotate=10),
    optimiser="adam",
    learning_rate=1e-4,
    warmup=0.0,
    weight_decay=0.0,
    label_smoothing=0.0,
    average=0.0,
)

RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            "cifake",
            cycles=(
                (16,) * 2 + (24,) * 3 + (32,) * 4,
                (24,) * 2 + (32,) * 8,
                (24,) * 4 + (32,) * 15,
                (32,) * 14,
            ),
            peaks=(1.0, 1.0, 0.5, 0.35),
            prune=0.65,
            distil=(0.0, 0.0, 0.0, 0.7),
            patience=24,
        ),
        # A first look at new pictures, or at what chance does: a fifteenth of the work.
        Recipe("quick", cycles=((16, 16, 24, 32),)),
        # Synergy'25. The publication says flips and slight rotations; 10 degrees are ours.
        replace(
            _PUBLISHED,
            name="synergy",
            cycles=((224,) * 5,),
            architecture=Architecture("imagenet", "mlp", dropout=0.3),
            preprocess=Preprocess(224, IMAGENET_MEAN, IMAGENET_STD),
            batch_size=16,
            final_rate=1.0,
            validation=0.1,
        ),
        # Predictathon 2025. It says flip, rotation, brightness, balancing, early stopping, dropout and a
        # schedule, not how much of each: 10 degrees, a fifth, patience 3, 0.3 and a line to zero are ours.
        replace(
            _PUBLISHED,
            name="predictathon",
            cycles=((224,) * 10,),
            architecture=Architecture("imagenet", "linear", dropout=0.3),
            preprocess=Preprocess(224, HALF, HALF),
            augmentation=replace(_PUBLISHED.augmentation, brightness=0.2),
            batch_size=32,
            balance=True,
            validation=0.2,
            patience=3,
        ),
        # Ours for the same 2,000 pictures: the shipped model, tuned gently.
        Recipe(
            "hackathon",
            cycles=((32,) * 5,),
            init="shipped",
            batch_size=64,
            learning_rate=0.005,
            average=0.98,
            validation=0.1,
        ),
    ]
}
