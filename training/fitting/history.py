"""Per-epoch metrics of a run: CSV table, best epoch, early stopping."""

from dataclasses import astuple, dataclass
from pathlib import Path

from training.data.reports import write_csv
from training.fitting.recipe import Recipe


@dataclass(frozen=True)
class Epoch:
    """Metrics of one epoch: mean binary cross-entropy losses and accuracies in [0, 1].

    Training metrics are of augmented crops, by the weights during the epoch; validation metrics are of whole
    images, by the exponential moving average of the weights.
    """

    epoch: int
    crop_size: int
    train_loss: float
    train_accuracy: float
    validation_loss: float
    validation_accuracy: float
    seconds: float


def describe(row: Epoch) -> str:
    """One line of text for the terminal."""
    return (
        f"epoch {row.epoch:3d}  crop {row.crop_size:3d}"
        f"  train loss {row.train_loss:.4f} accuracy {row.train_accuracy:.2%}"
        f"  validation loss {row.validation_loss:.4f} accuracy {row.validation_accuracy:.2%}"
        f"  {row.seconds:.0f} s"
    )


def write_history(history: list[Epoch], path: Path) -> None:
    """Write one CSV row per epoch."""
    write_csv(path, list(Epoch.__dataclass_fields__), [astuple(row) for row in history])


def best_epoch(history: list[Epoch]) -> Epoch:
    """The epoch with the lowest validation loss."""
    return min(history, key=lambda row: row.validation_loss)


def current_cycle(history: list[Epoch], recipe: Recipe) -> list[Epoch]:
    """The epochs of the learning-rate cycle that the last epoch of the history belongs to."""
    _, epoch_in_cycle = recipe.locate(len(history))
    return history[len(history) - 1 - epoch_in_cycle :]


def should_stop_early(history: list[Epoch], recipe: Recipe) -> bool:
    """Whether the last `patience` epochs on whole images brought no lower validation loss in this cycle."""
    _, epoch_in_cycle = recipe.locate(len(history) + 1)
    rows = history[len(history) - epoch_in_cycle :]
    whole = [row for row in rows if row.crop_size == max(recipe.crop_sizes)]
    return len(whole) > recipe.patience and best_epoch(rows) not in whole[-recipe.patience :]
