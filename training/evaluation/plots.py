"""Plots of a run folder: its epochs, and its predictions for the validation pictures."""

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

from model.files import atomically
from training.data.labelled_images import DataError
from training.evaluation.metrics import confidence_bins, expected_calibration_error, score

TRAINED, VALIDATED = "tab:orange", "tab:blue"


def plot_run(folder: Path) -> list[Path]:
    """Draw what the folder holds files for; returns the PNGs.

    From `history.csv`: loss and accuracy by epoch. From `validation.csv`: confusion matrix, ROC
    curve, reliability diagram. Raises DataError where neither is there.
    """
    drawn: list[Path] = []
    if (folder / "history.csv").is_file():
        history = _columns(folder / "history.csv")
        drawn.append(save(folder / "loss_curve.png", lambda axes: _loss(axes, history)))
        drawn.append(save(folder / "accuracy_curve.png", lambda axes: _accuracy(axes, history)))
    if (folder / "validation.csv").is_file():
        rows = _columns(folder / "validation.csv")
        predictions, labels = rows["prediction"].astype(float), rows["label"].astype(int)
        scores = score(predictions, labels)
        drawn.append(save(folder / "confusion.png", lambda axes: _confusion(axes, scores)))
        drawn.append(save(folder / "roc.png", lambda axes: _roc(axes, predictions, labels, scores)))
        curves = {
            name: rows[column].astype(float)
            for name, column in (("before calibration", "uncalibrated"), ("after", "prediction"))
            if column in rows  # runs of older versions have only the latter
        }
        drawn.append(save(folder / "reliability.png", lambda axes: reliability(axes, curves, labels)))
    if not drawn:
        raise DataError(f"{folder} holds neither history.csv nor validation.csv: not a run folder")
    return drawn


def reliability(axes: Axes, curves: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Accuracy against confidence in bins of equal width (Guo et al. 2017, figure 1).

    curves: P(REAL) in [0, 1], of shape (N,), by its name in the legend; the last one's pictures are counted.
    """
    axes.plot([0.5, 1], [0.5, 1], color="grey", linestyle="--", label="as sure as right")
    for (name, predictions), colour in zip(curves.items(), (TRAINED, VALIDATED)[-len(curves) :], strict=True):
        bins = np.stack(confidence_bins(predictions, labels))
        counts, said, right = bins[:, bins[0] > 0]
        ece = expected_calibration_error(predictions, labels)
        axes.plot(said / counts, right / counts, color=colour, marker="o", label=f"{name}, ECE {ece:.2%}")
    for x, y, count in zip(said / counts, right / counts, counts, strict=True):
        axes.annotate(f"{count:.0f}", (x, y), textcoords="offset points", xytext=(5, -12), fontsize=8)
    axes.set(xlabel="confidence", ylabel="share that is right", title="Reliability (number of pictures)")
    axes.set_xlim(0.48, 1.02)
    axes.legend()


def _loss(axes: Axes, history: dict[str, np.ndarray]) -> None:
    _curves(axes, history, "loss")
    axes.set(ylabel="binary cross-entropy", title="Loss")
    axes.set_ylim(bottom=0)


def _accuracy(axes: Axes, history: dict[str, np.ndarray]) -> None:
    _curves(axes, history, "accuracy", scale=100)
    axes.set(ylabel="accuracy, %", title="Accuracy")


def _curves(axes: Axes, history: dict[str, np.ndarray], what: str, scale: float = 1.0) -> None:
    epochs = history["epoch"].astype(int)
    for part, name, colour in (("train", "training", TRAINED), ("validation", "validation", VALIDATED)):
        values = history[f"{part}_{what}"].astype(float) * scale
        axes.plot(epochs, values, color=colour, marker="o", label=name)
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend()


def _confusion(axes: Axes, scores: dict[str, Any]) -> None:
    labels = ("REAL", "FAKE")
    counts = np.array([[scores["confusion"][true][answer] for answer in labels] for true in labels])
    axes.imshow(counts, cmap="Blues", vmin=0)
    for (row, column), count in np.ndenumerate(counts):
        dark = count > counts.max() / 2
        axes.text(column, row, f"{count:,}", ha="center", va="center", color="white" if dark else "black")
    axes.set(xlabel="answer", ylabel="label in the data", title=f"Accuracy {scores['accuracy']:.2%}")
    axes.set_xticks([0, 1], labels)
    axes.set_yticks([0, 1], labels)
    axes.grid(visible=False)


def _roc(axes: Axes, predictions: np.ndarray, labels: np.ndarray, scores: dict[str, Any]) -> None:
    RocCurveDisplay.from_predictions(labels, predictions, ax=axes, curve_kwargs={"color": VALIDATED})
    axes.plot([0, 1], [0, 1], color="grey", linestyle="--")
    axes.set(xlabel="FAKE called REAL", ylabel="REAL called REAL", title=f"ROC, area {scores['auroc']:.4f}")
    if legend := axes.get_legend():
        legend.remove()


def save(path: Path, draw: Callable[[Axes], None]) -> Path:
    """A figure of one diagram, as PNG. Returns the path."""
    # Figure without pyplot: no display, no state that outlives it.
    with mpl.rc_context({"font.size": 11, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(6.4, 4.4), layout="constrained")
        draw(figure.add_subplot())
        with atomically(path) as file:
            figure.savefig(file, format="png", dpi=120)
    return path


def _columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows:
        raise DataError(f"{path} is empty")
    return {name: np.array([row[name] for row in rows]) for name in rows[0]}
