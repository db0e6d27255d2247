"""The presentation of a run: a few slides made from its own figures and plots."""

from pathlib import Path
from typing import Any

from pptx import Presentation
from pptx.presentation import Presentation as Deck
from pptx.slide import Slide
from pptx.util import Inches, Pt

TITLE_ONLY, TITLE, BULLETS = 5, 0, 1  # of python-pptx's default template

FIGURES = (
    ("accuracy", "Accuracy", ".2%"),
    ("precision", "Precision", ".4f"),
    ("recall", "Recall", ".4f"),
    ("f1", "F1", ".4f"),
    ("auroc", "AUROC", ".4f"),
    ("ece", "Calibration error (ECE)", ".2%"),
)


def presentation(team: str, report: dict[str, Any], run: Path, predicted: int) -> Deck:
    """Slides on problem, method, curves, results and limits.

    report: the run's `metrics.json`; run: its folder, whose plots are shown where they are there;
    predicted: the number of test pictures.
    """
    deck = Presentation()
    recipe, data, scores = report["recipe"], report["data"], report["validation"]
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE])
    slide.shapes.title.text = "Photograph or generated?"
    slide.placeholders[1].text = f"{team}\n{predicted} predictions by a ResNet18"
    _bullets(
        deck,
        "The problem",
        [
            "Given a 32x32 picture, say how likely it is that the hackathon calls it real",
            f"Training data: {data['kind']}, {data['training']['pictures']} pictures to train on, "
            f"{data['validation']['pictures']} held out, drawn once, in equal shares of each class",
            f"Label 1 of the data is {data['label_1']} by what its pictures show",
        ],
    )
    architecture = recipe["architecture"]
    _bullets(
        deck,
        "The method",
        [
            f"ResNet18, {architecture['stem']} stem, {architecture['head']} head, input "
            f"{recipe['preprocess']['size']} px; first weights: {recipe['init']}",
            f"Binary cross-entropy, {recipe['optimizer'].upper()}, learning rate "
            f"{recipe['learning_rate']:g}, batch {recipe['batch_size']}",
            f"Best of its epochs by validation loss: {report['best_epoch']}; "
            f"{report['seconds'] / 60:.0f} minutes in all",
            f"Confidence calibrated by a map fitted on the {scores['pictures']} held-out pictures",
        ],
    )
    _pictures(deck, "Training", [run / "loss_curve.png", run / "accuracy_curve.png"])
    _results(deck, scores)
    _pictures(deck, "Where it errs, and how sure it is", [run / "confusion.png", run / "reliability.png"])
    _bullets(
        deck,
        "Limits",
        [
            "The epoch and the calibration were chosen on the validation pictures, so their figures are a "
            "little too good",
            "One generator (Stable Diffusion 1.4), ten classes, 32x32 pixels: nothing is known of others",
            "It is evidence, not proof",
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
    slide = _titled(deck, title)
    for place, path in enumerate(path for path in paths if path.is_file()):
        slide.shapes.add_picture(str(path), Inches(0.3 + 4.75 * place), Inches(1.9), width=Inches(4.65))


def _results(deck: Deck, scores: dict[str, Any]) -> None:
    slide = _titled(deck, f"Results on {scores['pictures']} validation pictures")
    frame = slide.shapes.add_table(len(FIGURES) + 1, 3, Inches(1), Inches(1.8), Inches(8), Inches(4))
    rows = [("", "value", "95 % interval")]
    for name, title, form in FIGURES:
        low, high = scores[f"{name}_interval"]
        rows.append((title, f"{scores[name]:{form}}", f"{low:{form}} to {high:{form}}"))
    for row, cells in enumerate(rows):
        for column, text in enumerate(cells):
            frame.table.cell(row, column).text = text


def _titled(deck: Deck, title: str) -> Slide:
    slide = deck.slides.add_slide(deck.slide_layouts[TITLE_ONLY])
    slide.shapes.title.text = title
    return slide
