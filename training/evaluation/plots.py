"""Plots of a run folder: learning curves, confusion matrix, ROC curve, reliability diagram."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from sklearn.metrics import RocCurveDisplay

from model.files import atomic_write
from training.data.labelled_images import DataError
from training.evaluation.metrics import classification_metrics, confidence_bins, expected_calibration_error

TRAIN_COLOUR, VAL_COLOUR = "tab:orange", "tab:blue"


def plot_run(folder: Path) -> list[Path]:
    """Write the plots whose data is in the folder; returns the paths of the PNGs.

    From `history.csv`: loss and accuracy by epoch. From `validation.csv`: confusion matrix, ROC
    curve, reliability diagram. Raises DataError if both files are missing.
    """
    paths: list[Path] = []
    if (folder / "history.csv").is_file():
        history = _columns(folder / "history.csv")
        paths.append(save_figure(folder / "loss_curve.png", lambda axes: _loss(axes, history)))
        paths.append(save_figure(folder / "accuracy_curve.png", lambda axes: _accuracy(axes, history)))
    if (folder / "validation.csv").is_file():
        rows = _columns(folder / "validation.csv")
        predictions, labels = rows["prediction"].astype(float), rows["label"].astype(int)
        metrics = classification_metrics(predictions, labels)
        paths.append(save_figure(folder / "confusion.png", lambda axes: _confusion(axes, metrics)))
        paths.append(save_figure(folder / "roc.png", lambda axes: _roc(axes, predictions, labels, metrics)))
        curves = {
            name: rows[column].astype(float)
            for name, column in (("before calibration", "uncalibrated"), ("after", "prediction"))
            if column in rows  # older runs have no uncalibrated predictions
        }
        paths.append(
            save_figure(folder / "reliability.png", lambda axes: reliability_diagram(axes, curves, labels))
        )
    if not paths:
        raise DataError(f"{folder} has neither history.csv nor validation.csv: not a run folder")
    return paths


def reliability_diagram(axes: Axes, curves: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Accuracy by confidence in bins of equal width (Guo et al. 2017, figure 1).

    curves: name in the legend -> P(REAL) in [0, 1], of shape (N,); the last one's bins have their counts.
    """
    axes.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", label="perfect calibration")
    colours = (TRAIN_COLOUR, VAL_COLOUR)[-len(curves) :]
    for (name, predictions), colour in zip(curves.items(), colours, strict=True):
        bins = np.stack(confidence_bins(predictions, labels))
        counts, confidence, correct = bins[:, bins[0] > 0]
        x, y = confidence / counts, correct / counts
        ece = expected_calibration_error(predictions, labels)
        axes.plot(x, y, color=colour, marker="o", label=f"{name}, ECE {ece:.2%}")
    for point, count in zip(zip(x, y, strict=True), counts, strict=True):
        axes.annotate(f"{count:.0f}", point, textcoords="offset points", xytext=(5, -12), fontsize=8)
    axes.set(xlabel="confidence", ylabel="accuracy", title="Reliability diagram (number of pictures)")
    axes.set_xlim(0.48, 1.02)
    axes.legend()


def _loss(axes: Axes, history: dict[str, np.ndarray]) -> None:
    _curves(axes, history, "loss")
    axes.set(ylabel="binary cross-entropy", title="Loss")
    axes.set_ylim(bottom=0)


def _accuracy(axes: Axes, history: dict[str, np.ndarray]) -> None:
    _curves(axes, history, "accuracy", scale=100)
    axes.set(ylabel="accuracy, %", title="Accuracy")


def _curves(axes: Axes, history: dict[str, np.ndarray], metric: str, scale: float = 1.0) -> None:
    epochs = history["epoch"].astype(int)
    for split, name, colour in (
        ("train", "training", TRAIN_COLOUR),
        ("validation", "validation", VAL_COLOUR),
    ):
        values = history[f"{split}_{metric}"].astype(float) * scale
        axes.plot(epochs, values, color=colour, marker="o", label=name)
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _confusion(axes: Axes, metrics: dict[str, Any]) -> None:
    labels = ("REAL", "FAKE")
    counts = np.array([[metrics["confusion"][label][predicted] for predicted in labels] for label in labels])
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    axes.set(
        xlabel="predicted label", ylabel="label in the data", title=f"Accuracy {metrics['accuracy']:.2%}"
    )
    axes.set_xticks([0, 1], labels)
    axes.set_yticks([0, 1], labels)
    axes.grid(visible=False)


def _roc(axes: Axes, predictions: np.ndarray, labels: np.ndarray, metrics: dict[str, Any]) -> None:
    RocCurveDisplay.from_predictions(labels, predictions, ax=axes, curve_kwargs={"color": VAL_COLOUR})
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    axes.set(
        xlabel="false positive rate", ylabel="true positive rate", title=f"ROC, AUC {metrics['auroc']:.4f}"
    )
    if legend := axes.get_legend():
        legend.remove()


def save_figure(path: Path, draw: Callable[[Axes], None]) -> Path:
    """Write a PNG of one plot. Returns the path."""
    # Figure without pyplot, which needs a display and keeps global state.
    with mpl.rc_context({"font.size": 11, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        draw(figure.add_subplot())
        with atomic_write(path) as file:
            figure.savefig(file, format="png", dpi=120)
    return path


def _columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DataError(f"{path} is empty")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
