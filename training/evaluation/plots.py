"""Plots of a run folder: learning curves, confusion matrix, ROC curve, reliability diagram."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from sklearn.metrics import roc_curve

from model.metadata import THRESHOLD
from training.data.labelled_images import DataError
from training.evaluation.figures import Draw, legend_above, save_figure
from training.evaluation.metrics import (
    classification_metrics,
    expected_calibration_error,
    reliability,
)
from training.evaluation.palette import CLASSES, GREY, INK, PAPER, TRAINING, UNCALIBRATED, VALIDATION
from training.evaluation.run_folder import Columns, Validation, read_history, read_validation

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_CONFIDENCE = 0.99999  # at the end of its axis, which is one of log-odds and has no place for 1


def plot_run(folder: Path) -> list[Path]:
    """Write the plots whose data is in the folder; returns the paths of the PNGs.

    From `history.csv`: loss and accuracy by epoch. From `validation.csv`: confusion matrix, ROC
    curve, reliability diagram. Raises DataError if both files are missing.
    """
    paths = [save_figure(folder / f"{name}.png", draw) for name, draw in run_plots(folder).items()]
    if not paths:
        raise DataError(f"{folder} has neither history.csv nor validation.csv: not a run folder")
    return paths


def run_plots(folder: Path) -> dict[str, Draw]:
    """File name without extension -> the plot, of each plot whose data is in the folder."""
    plots: dict[str, Draw] = {}
    history, validation = read_history(folder), read_validation(folder)
    if history is not None:
        plots["loss_curve"] = lambda axes: loss_curve(axes, history)
        plots["accuracy_curve"] = lambda axes: accuracy_curve(axes, history)
    if validation is not None:
        metrics = classification_metrics(validation.predictions, validation.labels)
        before, after = validation.uncalibrated, validation.predictions
        if before is None:
            curves = {"predictions": after}
        elif np.array_equal(before, after):
            curves = {"predictions, not calibrated": after}
        else:
            curves = {"before": before, "after calibration": after}
        plots["confusion"] = lambda axes: confusion_matrix(axes, validation, metrics)
        plots["roc"] = lambda axes: roc(axes, validation, metrics)
        plots["reliability"] = lambda axes: reliability_diagram(axes, curves, validation.labels)
    return plots


def loss_curve(axes: "Axes", history: Columns) -> None:
    """Loss on training and validation pictures by epoch."""
    _curves(axes, history, "loss")
    axes.set(ylabel="binary cross-entropy")
    axes.set_title("Loss", pad=44)
    axes.set_ylim(bottom=0)


def accuracy_curve(axes: "Axes", history: Columns) -> None:
    """Accuracy on training and validation pictures by epoch."""
    _curves(axes, history, "accuracy", scale=100)
    axes.set(ylabel="accuracy, %")
    axes.set_title("Accuracy", pad=44)


def confusion_matrix(axes: "Axes", validation: Validation, metrics: dict[str, Any]) -> None:
    """Number and share of pictures by label and answer, in the colour of the label.

    REAL is what is REAL in truth, if the run has a record of it, and else label 1 of the data.
    """
    from matplotlib.colors import LinearSegmentedColormap

    counts = metrics["confusion"]
    turned = {"REAL": "FAKE", "FAKE": "REAL"} if validation.label_1 == "FAKE" else {}
    for row, label in enumerate(CLASSES):
        of_label = counts[turned.get(label, label)]
        colours = LinearSegmentedColormap.from_list(label, [PAPER, CLASSES[label]])
        for column, answer in enumerate(CLASSES):
            count = of_label[turned.get(answer, answer)]
            share = count / sum(of_label.values())
            axes.fill_between([column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=colours(share))
            colour = PAPER if share > 0.6 else INK
            axes.text(column, row, f"{count:,}\n{share:.1%}", ha="center", va="center", color=colour)
    axes.set(xlabel="answer", ylabel="label", xlim=(-0.5, 1.5), ylim=(1.5, -0.5))
    axes.set_title(f"Accuracy {metrics['accuracy']:.2%}\n{_meaning(validation)}")
    axes.set_xticks([0, 1], list(CLASSES))
    axes.set_yticks([0, 1], list(CLASSES))
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)


def roc(axes: "Axes", validation: Validation, metrics: dict[str, Any]) -> None:
    """ROC curve of P(REAL), with its AUROC and the point of the threshold that answers are given by.

    REAL is the same as in `confusion_matrix`.
    """
    false_positive_rate, true_positive_rate, _ = roc_curve(
        validation.is_real, validation.p_real, drop_intermediate=False
    )
    axes.plot([0, 100], [0, 100], color=GREY, linestyle="--", linewidth=1.5)
    axes.plot(100 * false_positive_rate, 100 * true_positive_rate, color=VALIDATION, clip_on=False)
    x, y = (100 * validation.answers_real[validation.is_real == real].mean() for real in (False, True))
    axes.plot(x, y, color=VALIDATION, marker="o", markersize=12, markeredgecolor=PAPER, clip_on=False)
    low, high = metrics["auroc_interval"]
    axes.text(98, 4, f"dot: REAL if\nP(REAL) ≥ {THRESHOLD}", ha="right", va="bottom")
    axes.set(xlabel="FAKE answered REAL, %", ylabel="REAL answered REAL, %", xlim=(0, 100), ylim=(0, 100))
    axes.set_title(f"ROC, AUROC {metrics['auroc']:.4f}\n95 % interval {low:.4f} to {high:.4f}")


def reliability_diagram(axes: "Axes", curves: dict[str, np.ndarray], labels: np.ndarray) -> None:
    """Accuracy by confidence in bins of equally many pictures, with 95 % intervals (Wilson).

    Confidence is on an axis of log-odds, because most of a good model's answers are close to 1.
    curves: name in the legend -> P(REAL) in [0, 1], of shape (N,); one or two. The ECE in the legend is
    that of `expected_calibration_error`.
    """
    styles = ((UNCALIBRATED, "s"), (VALIDATION, "o"))[-len(curves) :]
    highest = 0.9
    for (name, predictions), (colour, marker) in zip(curves.items(), styles, strict=True):
        bins = reliability(predictions, labels)
        x, y = (np.array([each[name] for each in bins]) for name in ("confidence", "accuracy"))
        low, high = np.array([each["accuracy_interval"] for each in bins]).T
        x = np.minimum(x, MAX_CONFIDENCE)
        ece = expected_calibration_error(predictions, labels)
        axes.errorbar(
            x,
            100 * y,
            (100 * (y - low), 100 * (high - y)),
            color=colour,
            linestyle="none",
            marker=marker,
            elinewidth=2,
            label=f"{name}: ECE {ece:.2%}",
        )
        highest = max(highest, x.max())
    highest = min(highest + (1 - highest) / 2, MAX_CONFIDENCE)
    ideal = np.linspace(0.5, highest, 1000)
    axes.plot(ideal, 100 * ideal, color=GREY, linestyle="--", linewidth=1.5, zorder=1)
    axes.set_xscale("logit", one_half="0.5")
    few = (0.5, 0.8, 0.9, 0.97, 0.99, 0.997) if highest < 0.998 else (0.5, 0.9, 0.99, 0.999, 0.9999)
    ticks = [tick for tick in few if tick <= highest]
    axes.set_xticks(ticks, [f"{100 * tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set(xlabel="confidence, % (dashed: perfect)", ylabel="accuracy, %", xlim=(0.48, highest))
    axes.set_title("Calibration", pad=18 + 26 * len(curves))
    legend_above(axes, columns=1)


def _curves(axes: "Axes", history: Columns, metric: str, scale: float = 1.0) -> None:
    from matplotlib.ticker import MaxNLocator

    epochs = history["epoch"].astype(int)
    for split, name, colour, style in (
        ("train", "training", TRAINING, "--s"),
        ("validation", "validation", VALIDATION, "-o"),
    ):
        values = history[f"{split}_{metric}"].astype(float) * scale
        axes.plot(epochs, values, style, color=colour, markevery=-(-len(epochs) // 20), label=name)
    axes.set(xlabel="epoch")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    legend_above(axes)


def _meaning(validation: Validation) -> str:
    """What REAL is, in few words."""
    if validation.label_1 is None:
        return "REAL: label 1 of the data"
    return f"REAL: photographs (label {int(validation.label_1 == 'REAL')})"
