"""The slides of a run's results: epochs, metrics, answers, errors, heat maps."""

from collections.abc import Sequence

import numpy as np
from pptx.presentation import Presentation as Deck

from model.architecture import GRAD_CAM_LAYER
from training.evaluation.figures import SIZE, render
from training.evaluation.palette import CLASSES, INK, TRAINING, VALIDATION
from training.evaluation.run_folder import HISTORY
from training.submission.slides.facts import Facts, Pictures
from training.submission.slides.layout import BODY_TOP, BODY_WIDTH, MARGIN, WIDTH, Canvas
from training.submission.slides.pictures import confident_errors, enlarge, overlay
from training.submission.slides.shapes import LARGE, SMALL, Box, Text

METRICS = (
    ("accuracy", "Accuracy", ".2%"),
    ("precision", "Precision of {}", ".4f"),
    ("recall", "Recall of {}", ".4f"),
    ("f1", "F1 of {}", ".4f"),
    ("auroc", "AUROC", ".4f"),
    ("ece", "ECE", ".2%"),
)
EPOCHS = 8  # rows of the table
LEFT = Box(MARGIN, BODY_TOP, *SIZE)
RIGHT = Box(WIDTH - MARGIN - SIZE[0], BODY_TOP, *SIZE)


def curves(deck: Deck, facts: Facts) -> None:
    """Loss and accuracy by epoch."""
    if facts.history is None:
        return
    canvas = Canvas(
        deck,
        f"Epoch {facts.report['best_epoch']} of {len(facts.history['epoch'])} is kept"
        if facts.report["best_epoch"]
        else "No epoch is better than the first weights",
        facts.overlap,
        "The lowest validation loss of the last cycle decides. Training figures are of augmented pictures, "
        "so that they can be worse than those of validation.",
    )
    _plots(canvas, facts, ("loss_curve", "Loss by epoch"), ("accuracy_curve", "Accuracy by epoch"))


def epochs(deck: Deck, facts: Facts) -> None:
    """The figures of the epochs, or of some of them."""
    if facts.history is None:
        return
    count, best = len(facts.history["epoch"]), int(facts.report["best_epoch"])
    shown = _some(count, best)
    canvas = Canvas(
        deck,
        "Epoch by epoch" if len(shown) == count else f"Epoch by epoch: {len(shown)} of {count}",
        facts.overlap,
        "From history.csv.",
    )
    rows = [["epoch", "training: loss", "accuracy", "validation: loss", "accuracy"]]
    for i in shown:
        row = {name: float(facts.history[name][i]) for name in HISTORY}
        rows.append(
            [
                f"{row['epoch']:.0f}",
                f"{row['train_loss']:.4f}",
                f"{row['train_accuracy']:.2%}",
                f"{row['validation_loss']:.4f}",
                f"{row['validation_accuracy']:.2%}",
            ]
        )
    marked = shown.index(best - 1) + 1 if best - 1 in shown else None
    canvas.table(
        Box(MARGIN, BODY_TOP, BODY_WIDTH, min(0.7, 4.8 / len(rows)) * len(rows)),
        rows,
        (1.0, 2.2, 1.8, 2.4, 1.8),
        marked=marked,
        colours=(INK, TRAINING, TRAINING, VALIDATION, VALIDATION),
    )
    canvas.bottom_line("In bold: the epoch that is kept. Training figures are of augmented pictures.")


def confusion(deck: Deck, facts: Facts) -> None:
    """Confusion matrix and ROC curve."""
    if "confusion" not in facts.plots:
        return
    metrics = facts.metrics
    low, high = metrics["accuracy_interval"]
    canvas = Canvas(
        deck,
        f"{metrics['accuracy']:.2%} of {metrics['pictures']:,} validation pictures answered right",
        facts.overlap,
        f"95 % interval of the accuracy {low:.2%} to {high:.2%} (Wilson). "
        "Epoch and calibration were chosen on the same pictures.",
    )
    _plots(
        canvas,
        facts,
        ("confusion", "Number of pictures by label and answer"),
        ("roc", f"ROC curve, AUROC {metrics['auroc']:.4f}"),
    )


def calibration(deck: Deck, facts: Facts) -> None:
    """All metrics, and the reliability diagram."""
    canvas = Canvas(
        deck,
        f"Its confidence is {100 * facts.metrics['ece']:.2f} points off, on average",
        facts.overlap,
        "ECE, expected calibration error: the mean distance of confidence and accuracy, in 15 bins of equal "
        "width. The diagram has bins of equally many pictures, with 95 % intervals (Wilson).",
    )
    rows = [["", "value", "95 % interval"]]
    for name, title, spec in METRICS:
        low, high = facts.metrics[f"{name}_interval"]
        rows.append(
            [title.format(facts.label_1), f"{facts.metrics[name]:{spec}}", f"{low:{spec}} to {high:{spec}}"]
        )
    canvas.table(Box(MARGIN, 1.6, 5.9, 0.65 * len(rows)), rows, (2.2, 1.2, 2.4))
    if "reliability" in facts.plots:
        canvas.picture(
            RIGHT, render(facts.plots["reliability"]), "Reliability diagram: accuracy by confidence"
        )


def answers(deck: Deck, facts: Facts) -> None:
    """The six pictures of the quiz with what they are and what the model says of them."""
    if not facts.pictures or not len(facts.pictures.quiz):
        return
    index, validation = facts.pictures.quiz, facts.pictures.validation
    right = int((validation.answers_real[index] == validation.is_real[index]).sum())
    canvas = Canvas(deck, f"The answers: the model has {right} of 6 right", facts.overlap)
    _gallery(canvas, facts.pictures, index, [f"{letter}: " for letter in "ABCDEF"])
    canvas.bottom_line("P(REAL): the model's probability of a photograph. From 0.5 on it answers REAL.")


def errors(deck: Deck, facts: Facts) -> None:
    """The wrong answers with the highest confidence."""
    if not facts.pictures:
        return
    validation = facts.pictures.validation
    index = confident_errors(validation, 6)
    if not len(index):
        return
    count = int((validation.answers_real != validation.is_real).sum())
    canvas = Canvas(
        deck,
        f"What it gets wrong: {count} of {facts.metrics['pictures']:,}",
        facts.overlap,
        "Files: " + ", ".join(validation.names[i] for i in index),
    )
    _gallery(canvas, facts.pictures, index, [""] * len(index))
    if len(index) < count:
        canvas.bottom_line(f"The {len(index)} wrong answers with the highest confidence.")


def heat_maps(deck: Deck, facts: Facts) -> None:
    """The pictures of the quiz beside their heat maps."""
    if not facts.pictures or facts.pictures.heat is None:
        return
    canvas = Canvas(
        deck,
        "Where it looks: Grad-CAM",
        notes=f"Selvaraju et al. 2017. Bright is where {GRAD_CAM_LAYER} speaks most for the answer given.",
    )
    side = 1.9
    for position, (i, heat, letter) in enumerate(
        zip(facts.pictures.quiz, facts.pictures.heat, "ABCDEF", strict=True)
    ):
        x = MARGIN + position % 3 * (BODY_WIDTH + 0.25) / 3
        y = BODY_TOP + position // 3 * (side + 0.5)
        image = facts.pictures.images[i]
        answer = "REAL" if facts.pictures.validation.answers_real[i] else "FAKE"
        canvas.picture(Box(x, y, side - 0.03, side), enlarge(image), f"Picture {letter}")
        canvas.picture(
            Box(x + side, y, side - 0.03, side), overlay(image, heat), f"Picture {letter} under its heat map"
        )
        canvas.text(
            Box(x, y + side + 0.03, 2 * side, 0.35),
            Text(f"{letter}: answered {answer}", SMALL, bold=True, colour=CLASSES[answer]),
        )
    canvas.bottom_line("Bright: what speaks most for the answer. It says where the network looks, not why.")


def _gallery(canvas: Canvas, pictures: Pictures, index: np.ndarray, leads: Sequence[str]) -> None:
    """Pictures with what they are in truth and what the model answers."""
    validation = pictures.validation
    captions, descriptions = [], []
    for i, lead in zip(index, leads, strict=True):
        truth, answer = (
            "REAL" if real else "FAKE" for real in (validation.is_real[i], validation.answers_real[i])
        )
        captions.append(
            [
                Text(f"{lead}{truth}", LARGE, bold=True, colour=CLASSES[truth]),
                Text(f"model: {answer}"),
                Text("P(REAL)"),
                Text(f"{validation.p_real[i]:.4f}"),
            ]
        )
        descriptions.append(
            f"{validation.names[i]}: {truth}, answered {answer}, P(REAL) {validation.p_real[i]:.4f}"
        )
    canvas.gallery([enlarge(pictures.images[i]) for i in index], captions, descriptions)


def _plots(canvas: Canvas, facts: Facts, *plots: tuple[str, str]) -> None:
    for box, (name, description) in zip((LEFT, RIGHT), plots, strict=True):
        canvas.picture(box, render(facts.plots[name]), description)


def _some(count: int, best: int) -> list[int]:
    """At most EPOCHS positions of epochs, evenly spaced, with the first, the last and the best."""
    if count <= EPOCHS:
        return list(range(count))
    spaced = np.linspace(0, count - 1, EPOCHS - 1).round().astype(int).tolist()
    return sorted(set(spaced) | {best - 1} & set(range(count)))
