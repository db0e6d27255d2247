"""Recipes: named, frozen sets of training choices."""

from dataclasses import dataclass

from model.network import Architecture
from model.preprocess import Preprocess
from training.augment import Augmentation


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a training run does, besides the data and the first weights.

    windows: side in pixels of the random windows that are trained on, one for each epoch, so that
        their number is the number of epochs. Texture tells the classes apart and a small window
        shows it at a fraction of the cost; whole pictures come last.
    learning_rate: the peak of one cycle (Smith & Topin 2019, arXiv 1708.07120): up in a straight
        line over `warmup` of all steps, down in one to zero over the rest.
    label_smoothing: targets are pulled from 0 and 1 towards 1/2 by half of this.
    average: decay per step of the exponential moving average of weights that is evaluated and saved.
    validation: share of the training pictures, drawn by `seed` in equal shares of each class, that is
        never trained on.
    patience: epochs on whole pictures without a better validation loss after which training stops.
    """

    name: str
    windows: tuple[int, ...]
    architecture: Architecture = Architecture()
    preprocess: Preprocess = Preprocess()
    augmentation: Augmentation = Augmentation()
    batch_size: int = 256
    learning_rate: float = 0.2
    warmup: float = 0.2
    momentum: float = 0.9
    weight_decay: float = 5e-4
    label_smoothing: float = 0.04
    average: float = 0.995
    validation: float = 0.04
    patience: int = 5
    seed: int = 2025

    def __post_init__(self) -> None:
        if not self.windows or not all(0 < side <= self.preprocess.size for side in self.windows):
            raise ValueError(f"windows must be sides from 1 to {self.preprocess.size} pixels")
        if self.batch_size < 2:
            raise ValueError("batch norm needs at least two pictures a batch")
        if not 0 < self.validation < 1:
            raise ValueError(f"validation must be a share between 0 and 1, not {self.validation}")

    @property
    def epochs(self) -> int:
        return len(self.windows)


RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe("cifake", windows=(16,) * 2 + (24,) * 3 + (32,) * 4),
    ]
}
