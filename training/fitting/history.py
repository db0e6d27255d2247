"""A run's epochs: the table of them, and which of them counts."""

from dataclasses import astuple, dataclass
from pathlib import Path

from training.data.reports import write_csv
from training.fitting.recipes import Recipe


@dataclass(frozen=True)
class Epoch:
    """One row of the table: mean losses (binary cross-entropy) and accuracies in [0, 1].

    The training figures are of the windows trained on, augmented, by the weights as they moved;
    the validation figures are of whole pictures, by the averaged weights.
    """

    epoch: int
    crop_size: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def describe(row: Epoch) -> str:
    """A line of the table of epochs."""
    return (
        f"epoch {row.epoch:3d}  crop {row.crop_size:3d}"
        f"  train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.2%}"
        f"  validation loss {row.validation_loss:.4f} accuracy {row.validation_accuracy:.2%}"
        f"  {row.seconds:.0f} s"
    )


def write_history(history: list[Epoch], path: Path) -> None:
    """The table of epochs as CSV."""
    write_csv(path, list(Epoch.__dataclass_fields__), [astuple(row) for row in history])


def best_of(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss."""
    return min(history, key=lambda row: row.validation_loss)


def last_cycle(history: list[Epoch], recipe: Recipe) -> list[Epoch]:
    """The epochs of the cycle that was come to."""
    _, within = recipe.locate(len(history))
    return history[len(history) - 1 - within :]


def stalled(history: list[Epoch], recipe: Recipe) -> bool:
    """Whether `patience` epochs on whole pictures of this cycle went by without a better validation loss."""
    _, within = recipe.locate(len(history) + 1)
    rows = history[len(history) - within :]
    whole = [row for row in rows if row.crop_size == max(recipe.crop_sizes)]
    return len(whole) > recipe.patience and best_of(rows) not in whole[-recipe.patience :]
