"""Recipes: named, frozen sets of training choices."""

from dataclasses import dataclass
from itertools import chain

from model.network import Architecture
from model.preprocess import Preprocess
from training.augment import Augmentation


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does, besides the data and the first weights.

    cycles: for each cycle of the learning rate, the side in pixels of the random windows that each
        of its epochs trains on. Texture tells the classes apart and a small window shows it at a
        fraction of the cost; whole pictures come last.
    learning_rate: the peak of a cycle (Smith & Topin 2019, arXiv 1708.07120): up in a straight line
        over `warmup` of it, down in one to zero over the rest.
    prune: share of the well-answered pictures that an epoch leaves out (see training.pruning). Not in
        the first cycle, where losses say little yet, and not in the last epoch of a cycle.
    label_smoothing: targets are pulled from 0 and 1 towards 1/2 by half of this.
    average: decay per step of the exponential moving average of weights that is evaluated and saved.
    validation: share of the training pictures, drawn by `seed` in equal shares of each class, that is
        never trained on.
    patience: epochs on whole pictures without a better validation loss after which training stops.
    """

    name: str
    cycles: tuple[tuple[int, ...], ...]
    architecture: Architecture = Architecture()
    preprocess: Preprocess = Preprocess()
    augmentation: Augmentation = Augmentation()
    batch_size: int = 256
    learning_rate: float = 0.2
    warmup: float = 0.2
    prune: float = 0.0
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.04
    average: float = 0.995
    validation: float = 0.04
    patience: int = 5
    seed: int = 2025

    def __post_init__(self) -> None:
        if not self.cycles or not all(self.cycles):
            raise ValueError("cycles must be one or more, of one epoch or more")
        if not all(0 < side <= self.preprocess.size for side in self.windows):
            raise ValueError(f"windows must be sides from 1 to {self.preprocess.size} pixels")
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
        rising = progress < self.warmup
        return self.learning_rate * (progress / self.warmup if rising else (1 - progress) / (1 - self.warmup))


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            "cifake",
            cycles=((16,) * 2 + (24,) * 3 + (32,) * 4, (24,) * 2 + (32,) * 8),
            prune=0.5,
        ),
    ]
}
