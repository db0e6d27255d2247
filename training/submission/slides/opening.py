"""The first slides: title, quiz, data and its labels, method."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pptx.presentation import Presentation as Deck

from training.evaluation.palette import CLASSES, PAPER
from training.evaluation.run_folder import backbone_title, describe_recipe
from training.submission.slides.facts import Facts
from training.submission.slides.layout import BODY_WIDTH, MARGIN, Canvas, title_slide
from training.submission.slides.pictures import enlarge, mosaic
from training.submission.slides.shapes import LARGE, NORMAL, SMALL, Box, Text

MOSAIC_ROWS, MOSAIC_COLUMNS = 5, 4
ROW = 5  # pictures of a class on the slide about labels
MAX_FOLDER, MAX_FILE = 20, 14  # characters of a name
AUGMENTATIONS = {
    "flip": "mirrored",
    "shift": "shifted",
    "rotate": "rotated",
    "zoom": "zoomed",
    "jpeg_reencode": "saved as JPEG",
    "blur": "blurred",
    "noise": "noisy",
    "brightness": "brightened",
    "color_jitter": "toned",
    "grayscale": "grey",
}
FIRST_WEIGHTS = {"shipped": "the shipped model", "none": "random weights", "imagenet": "ImageNet's weights"}


def title(deck: Deck, facts: Facts) -> None:
    """The question, the team, and as a background a mosaic of validation pictures."""
    background = None
    count = MOSAIC_ROWS * MOSAIC_COLUMNS
    if facts.pictures and len(facts.pictures.images) >= count:
        index = np.linspace(0, len(facts.pictures.images) - 1, count).astype(int)
        shuffled = facts.pictures.images[np.random.default_rng(0).permutation(index)]
        background = mosaic(shuffled, MOSAIC_COLUMNS)
    title_slide(
        deck,
        "Photograph or generated?",
        [f"{facts.team}", f"{facts.predicted} predictions by {backbone_title(facts.report['recipe'])}"],
        background,
        f"{count} validation pictures, photographs and generated ones mixed",
    )


def quiz(deck: Deck, facts: Facts) -> None:
    """Six pictures without their answers."""
    if not facts.pictures or not len(facts.pictures.quiz):
        return
    is_real = facts.pictures.validation.is_real[facts.pictures.quiz]
    answers = " ".join(letter for letter, real in zip("ABCDEF", is_real, strict=True) if real)
    canvas = Canvas(
        deck,
        "Which three are photographs?",
        notes=f"Ask for hands. Photographs are {answers}. Drawn by lot from the validation pictures.",
    )
    canvas.gallery(
        [enlarge(facts.pictures.images[i]) for i in facts.pictures.quiz],
        [[Text(letter, 44, bold=True)] for letter in "ABCDEF"],
        [f"Picture {letter} of the quiz" for letter in "ABCDEF"],
    )
    size = facts.report["recipe"]["preprocess"]["size"]
    canvas.bottom_line(
        f"Three are photographs, three generated; all the network sees is {size}x{size} pixels."
    )


def labels(deck: Deck, facts: Facts) -> None:
    """What the labels of the data mean, with pictures of both."""
    if not facts.pictures:
        return
    images, validation = facts.pictures.images, facts.pictures.validation
    inverted = facts.label_1 == "FAKE"
    canvas = Canvas(
        deck,
        "Our find: the labels are the wrong way round" if inverted else "The data and its labels",
        facts.overlap,
        "`python -m training audit` compares labels with the shipped model's predictions; "
        "metrics.json records what label 1 means as `label_1`.",
    )
    for number, (label, name) in enumerate(((1, "real"), (0, "fake"))):
        y = 1.5 + number * 1.95
        truth = "REAL" if (label == 1) != inverted else "FAKE"
        index = np.flatnonzero(validation.labels == label)
        shown = index[np.linspace(0, len(index) - 1, min(ROW, len(index))).astype(int)]
        folder = _folder([validation.names[i] for i in index])
        canvas.card(
            Box(MARGIN, y, 3.0, 1.6), Text(f"called {name}", LARGE, bold=True), *[Text(folder)] * bool(folder)
        )
        for position, i in enumerate(shown):
            canvas.picture(
                Box(3.85 + position * 1.3, y + 0.2, 1.2, 1.2),
                enlarge(images[i]),
                f"A picture that the data calls {name} and that is {truth}",
            )
        canvas.card(
            Box(10.5, y, 2.233, 1.6),
            Text(truth, LARGE, bold=True, colour=PAPER),
            Text("photographs" if truth == "REAL" else "generated", NORMAL, colour=PAPER),
            colour=CLASSES[truth],
        )
    canvas.text(Box(MARGIN, 5.45, BODY_WIDTH, 1.2), *_labels_in_words(facts, inverted), middle=True)


def method(deck: Deck, facts: Facts) -> None:
    """Training and answering, each as a row of boxes."""
    report = facts.report
    recipe, data = report["recipe"], report["data"]
    size, architecture = recipe["preprocess"]["size"], recipe["architecture"]
    backbone = backbone_title(recipe)
    used = [name for key, name in AUGMENTATIONS.items() if recipe.get("augmentation", {}).get(key)]
    first = FIRST_WEIGHTS.get(recipe["init"], Path(recipe["init"]).stem[:MAX_FILE])
    canvas = Canvas(
        deck,
        f"One {backbone}, trained in {_duration(report['seconds'])}",
        notes=f"Recipe {describe_recipe(recipe)}: {architecture['stem']} stem, {architecture['head']} head. "
        f"Augmentation: {', '.join(used) or 'none recorded'}. All settings stand in metrics.json.",
    )
    training = [
        _card(f"{data['training']['pictures']:,}", f"pictures of {size}x{size} pixels"),
        _card("Augmented", f"{', '.join(used[:3])}{', …' if len(used) > 3 else ''}"),
        _card(backbone, f"starts from {first}"),
        _card(
            _plural(len(facts.history["epoch"]), "epoch") if facts.history else "Epochs",
            f"{recipe['optimizer'].upper()}, rate {recipe['learning_rate']:g}, batch {recipe['batch_size']}",
        ),
        _card(
            f"Epoch {report['best_epoch']}" if report["best_epoch"] else "First weights",
            "kept, by validation loss",
        ),
    ]
    if not used:
        del training[1]
    answering = [
        _card("A picture", f"brought to {size}x{size} pixels"),
        _card(backbone, "one number, the logit of label 1"),
        _card("Calibration", "from the logit to a probability"),
        _card("P(REAL)", f"REAL from 0.5 on; label 1 is {facts.label_1}"),
    ]
    canvas.text(Box(MARGIN, 1.4, BODY_WIDTH, 0.45), Text("Training", LARGE, bold=True))
    kept = canvas.row_of_cards(Box(MARGIN, 1.95, BODY_WIDTH, 1.7), training)[-1]
    canvas.text(Box(MARGIN, 4.2, 3.0, 0.45), Text("Answering", LARGE, bold=True))
    network = canvas.row_of_cards(Box(MARGIN, 4.75, BODY_WIDTH, 1.7), answering)[1]
    x, y = network.x + network.width / 2, 4.2
    start = kept.x + kept.width / 2
    canvas.arrow((start, kept.y + kept.height + 0.05), (start, y), (x, y), (x, network.y - 0.05))


def _labels_in_words(facts: Facts, inverted: bool) -> list[Text]:
    check = facts.pictures and facts.pictures.label_check
    lines = []
    if check:
        low, high = check.agreement_interval
        lines.append(
            Text(
                f"The shipped model agrees with {check.agreement:.1%} of the labels of "
                f"{facts.metrics['pictures']:,} pictures (95 % interval {low:.1%} to {high:.1%}).",
                NORMAL,
            )
        )
    if inverted:
        lines.append(
            Text(
                "We learn them as they are, and give both: P(REAL), and P(FAKE), which is their “real”.",
                NORMAL,
            )
        )
    return lines


def _folder(names: Sequence[str]) -> str:
    """The folder that all files are in, shortened; empty if there are several."""
    folders = {str(Path(name).parent) for name in names}
    if len(folders) != 1 or folders == {"."}:
        return ""
    [folder] = folders
    return f"{folder[-MAX_FOLDER:]}/"


def _card(lead: str, text: str) -> list[Text]:
    return [Text(lead, NORMAL, bold=True), Text(text, SMALL)]


def _duration(seconds: float) -> str:
    for unit, length in (("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return _plural(round(seconds / length), unit)
    return _plural(round(seconds), "second")


def _plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"
