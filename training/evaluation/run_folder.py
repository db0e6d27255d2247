"""What a run folder says: its report, its epochs and its predictions for the validation pictures."""

import csv
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.architecture import BACKBONES, RESNET18
from model.metadata import THRESHOLD, Label
from training.data.labelled_images import DataError
from training.tables import table

Columns = dict[str, np.ndarray]
"""The columns of a CSV file as text, each of shape (rows,)."""

HISTORY = ("epoch", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")


@dataclass(frozen=True)
class Validation:
    """The predictions of a run for its validation pictures.

    names: paths relative to the data set. labels: as in the data, uint8 of shape (N,).
    predictions, uncalibrated: P(label 1) with and without calibration, float64 of shape (N,); older runs have
        no uncalibrated ones.
    label_1: the class that label 1 means in truth; None if the run has no record of it.
    """

    names: list[str]
    labels: np.ndarray
    predictions: np.ndarray
    uncalibrated: np.ndarray | None
    label_1: Label | None

    @property
    def is_real(self) -> np.ndarray:
        """Whether each picture is REAL, bool of shape (N,): by its label and what label 1 means in truth."""
        return (self.labels == 1) != (self.label_1 == "FAKE")

    @property
    def p_real(self) -> np.ndarray:
        """P(REAL) of each picture, float64 of shape (N,)."""
        return 1 - self.predictions if self.label_1 == "FAKE" else self.predictions

    @property
    def answers_real(self) -> np.ndarray:
        """Whether each picture is answered REAL, bool of shape (N,); label 1 is answered from 0.5 on."""
        return (self.predictions >= THRESHOLD) != (self.label_1 == "FAKE")


def read_report(folder: Path) -> dict[str, Any]:
    """The contents of `metrics.json`; empty if there is no such file. Raises DataError if it is no object."""
    path = folder / "metrics.json"
    if not path.is_file():
        return {}
    try:
        report = json.loads(path.read_bytes())
    except ValueError as error:
        raise DataError(f"{path} is not JSON: {error}") from error
    if not isinstance(report, dict):
        raise DataError(f"{path} is not a JSON object: it is not of `train`")
    return report


def read_history(folder: Path) -> Columns | None:
    """The columns of `history.csv`, those of `training.fitting.history.Epoch`; None without such a file."""
    path = folder / "history.csv"
    return _columns(path, HISTORY) if path.is_file() else None


def read_validation(folder: Path) -> Validation | None:
    """The rows of `validation.csv`; None if there is no such file. Raises DataError if it is empty."""
    path = folder / "validation.csv"
    if not path.is_file():
        return None
    rows = _columns(path, ("name", "label", "prediction"))
    raw = rows.get("uncalibrated")
    return Validation(
        rows["name"].tolist(),
        rows["label"].astype(np.uint8),
        rows["prediction"].astype(float),
        None if raw is None else raw.astype(float),
        read_report(folder).get("data", {}).get("label_1"),
    )


def describe_history(folder: Path) -> str:
    """The epochs of a run as a table. Raises DataError without `history.csv`."""
    history = read_history(folder)
    if history is None:
        raise DataError(f"{folder} has no history.csv: not a run folder")
    header = ("epoch", "training loss", "accuracy", "validation loss", "accuracy")
    rows = [
        (epoch, f"{float(loss):.4f}", f"{float(right):.2%}", f"{float(v_loss):.4f}", f"{float(v_right):.2%}")
        for epoch, loss, right, v_loss, v_right in zip(*(history[name] for name in HISTORY), strict=True)
    ]
    return table(rows, header, ">")


def describe_recipe(recipe: dict[str, Any]) -> str:
    """The name of a run's recipe, and what was overridden of it: `cifake, but epochs 3, seed 7`.

    recipe: its record in `metrics.json` or in a checkpoint; older ones do not say what was overridden.
    """
    overrides = recipe.get("overrides", {})
    changes = ", ".join(f"{name.replace('_', ' ')} {value}" for name, value in overrides.items())
    return f"{recipe['name']}, but {changes}" if changes else str(recipe["name"])


def backbone_title(recipe: dict[str, Any]) -> str:
    """The name of a run's backbone in texts: `ResNet18`. recipe: its record; older ones are of ResNet18."""
    return BACKBONES[recipe["architecture"].get("backbone", RESNET18)].title


def _columns(path: Path, required: Sequence[str]) -> Columns:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DataError(f"{path} is empty")
    if missing := set(required) - set(rows[0]):
        raise DataError(f"{path} has no column {', '.join(sorted(missing))}: it is not of `train`")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
