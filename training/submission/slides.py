"""The presentation of a run: slides of its metrics and plots."""

from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.presentation import Presentation as Deck
from pptx.slide import Slide
from pptx.util import Inches, Pt

TITLE_ONLY, TITLE, BULLETS = 5, 0, 1  # of python-pptx's default template

METRICS = (
    ("accuracy", "Accuracy", ".2%"),
    ("precision", "Precision", ".4f"),
    ("recall", "Recall", ".4f"),
    ("f1", "F1", ".4f"),
    ("auroc", "AUROC", ".4f"),
    ("ece", "Calibration error (ECE)", ".2%"),
)


def presentation(team: str, report: dict[str, Any], run: Path, predicted: int) -> Deck:
    """Slides on problem, method, learning curves, results and limits.

    report: the run's `metrics.json`; run: its folder, whose plots are shown if they exist;
    predicted: the number of test pictures.
    """
    deck = Presentation()
    recipe, data, metrics = report["recipe"], report["data"], report["validation"]
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE])
    slide.shapes.title.text = "Photograph or generated?"
    slide.placeholders[1].text = f"{team}\n{predicted} predictions by a ResNet18"
    _bullets(
        deck,
        "The problem",
        [
            "Given a 32x32 picture, predict the probability of the hackathon's label real",
            f"Training data: {data['kind']}, {data['training']['pictures']} pictures to train on, "
            f"{data['validation']['pictures']} for validation, drawn once, stratified by class",
            f"The pictures with label 1 in the data are {data['label_1']} pictures",
        ],
    )
    architecture = recipe["architecture"]
    _bullets(
        deck,
        "The method",
        [
            f"ResNet18, {architecture['stem']} stem, {architecture['head']} head, input "
            f"{recipe['preprocess']['size']} px; initial weights: {recipe['init']}",
            f"Binary cross-entropy, {recipe['optimizer'].upper()}, learning rate "
            f"{recipe['learning_rate']:g}, batch {recipe['batch_size']}",
            f"Best epoch by validation loss: {report['best_epoch']}; "
            f"{report['seconds'] / 60:.0f} minutes in total",
            f"Confidence calibrated on the {metrics['pictures']} validation pictures",
        ],
    )
    _pictures(deck, "Training", [run / "loss_curve.png", run / "accuracy_curve.png"])
    _results(deck, metrics)
    _pictures(deck, "Confusion matrix and calibration", [run / "confusion.png", run / "reliability.png"])
    _bullets(
        deck,
        "Limits",
        [
            "Epoch and calibration were chosen on the validation pictures, so their metrics are slightly "
            "optimistic",
            "One generator (Stable Diffusion 1.4), ten classes, 32x32 pixels: not tested on others",
            "A prediction is evidence, not proof",
        ],
    )
    return deck


def _bullets(deck: Deck, title: str, lines: list[str]) -> None:
    slide = deck.slides.add_slide(deck.slide_layouts[BULLETS])
    slide.shapes.title.text = title
    frame = slide.placeholders[1].text_frame
    frame.text = lines[0]
    for line in lines[1:]:
        frame.add_paragraph().text = line
    for paragraph in frame.paragraphs:
        paragraph.font.size = Pt(22)
        paragraph.space_after = Pt(10)


def _pictures(deck: Deck, title: str, paths: list[Path]) -> None:
    slide = _slide_with_title(deck, title)
    for position, path in enumerate(path for path in paths if path.is_file()):
        slide.shapes.add_picture(str(path), Inches(0.3 + 4.75 * position), Inches(1.9), width=Inches(4.65))


def _results(deck: Deck, metrics: dict[str, Any]) -> None:
    slide = _slide_with_title(deck, f"Results on {metrics['pictures']} validation pictures")
    frame = slide.shapes.add_table(len(METRICS) + 1, 3, Inches(1), Inches(1.8), Inches(8), Inches(4))
    rows = [("", "value", "95 % interval")]
    for name, title, spec in METRICS:
        low, high = metrics[f"{name}_interval"]
        rows.append((title, f"{metrics[name]:{spec}}", f"{low:{spec}} to {high:{spec}}"))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            frame.table.cell(row, column).text = text


def _slide_with_title(deck: Deck, title: str) -> Slide:
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY])
    slide.shapes.title.text = title
    return slide
