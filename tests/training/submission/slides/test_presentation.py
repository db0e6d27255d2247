"""Properties that all slides have, whatever the run, and what single slides say."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from PIL import ImageFont
from pptx.enum.shapes import MSO_SHAPE_TYPE
from pptx.presentation import Presentation as Deck
from pptx.shapes.base import BaseShape
from pptx.slide import Slide
from pptx.text.text import TextFrame
from pptx.util import Emu, Pt

from training.evaluation.figures import DPI
from training.submission.slides import opening, results
from training.submission.slides.facts import Facts
from training.submission.slides.layout import new_deck
from training.submission.slides.presentation import draw, presentation

SMALLEST = Pt(18)
LINE = 1.2  # line spacing, of the size of type
OVERLAP = {"count": 199, "total": 200, "of": "the initial weights' training data"}
TITLES = [
    "Photograph or generated?",
    "Which three are photographs?",
    "Our find: the labels are the wrong way round",
    "One ResNet18, trained in 10 minutes",
    "Epoch 4 of 5 is kept",
    "Epoch by epoch",
    "70.00% of 20 validation pictures answered right",
    "Its confidence is 26.76 points off, on average",
    "The answers: the model has 5 of 6 right",
    "What it gets wrong: 6 of 20",
    "Where it looks: Grad-CAM",
    "Beside published figures",
    "Limits",
    "What next",
]


def long_run(facts: Facts) -> Facts:
    """The longest texts and largest numbers: a team of 64 letters, 300 epochs, millions of pictures."""
    epochs = np.arange(1, 301)
    names = ("train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
    history = {"epoch": epochs.astype(str)} | {name: (100 / epochs).astype(str) for name in names}
    report = facts.report | {
        "best_epoch": 300,
        "seconds": 10**7,
        "validation_overlap": {"count": 123456, "total": 1234567, "of": OVERLAP["of"]},
        "validation": facts.report["validation"] | {"pictures": 1234567},
        "recipe": facts.report["recipe"]
        | {
            "init": f"/folder/{'w' * 60}.pth",
            "name": "predictathon",
            "learning_rate": 0.000123,
            "batch_size": 1024,
            "architecture": {"stem": "small", "head": "linear", "backbone": "mobilenetv3_small"},
            "preprocess": {"size": 224},
        },
        "data": facts.report["data"] | {"label_1": "REAL", "training": {"pictures": 12345678}},
    }
    return replace(facts, team="W" * 64, predicted=10**7, history=history, report=report)


def without_pictures(facts: Facts) -> Facts:
    return replace(facts, pictures=None)


def without_files(facts: Facts) -> Facts:
    """A run folder of which only metrics.json is left, of a recipe without augmentation."""
    recipe = {name: value for name, value in facts.report["recipe"].items() if name != "augmentation"}
    report = facts.report | {"recipe": recipe, "seconds": 61}
    return replace(facts, report=report, pictures=None, history=None, plots={})


def as_it_is(facts: Facts) -> Facts:
    return facts


@pytest.fixture(scope="module", params=[as_it_is, long_run, without_pictures, without_files])
def deck(request: pytest.FixtureRequest, facts: Facts) -> Deck:
    return draw(request.param(facts))


def shapes(deck: Deck) -> Iterator[BaseShape]:
    for slide in deck.slides:
        yield from slide.shapes


def frames(shape: BaseShape) -> Iterator[tuple[TextFrame, int, int]]:
    """(text, width and height that there is for it) of a shape, or of each cell of a table."""
    if shape.has_text_frame:
        frame = shape.text_frame
        width = shape.width - frame.margin_left - frame.margin_right
        yield frame, width, shape.height - frame.margin_top - frame.margin_bottom
    if shape.has_table:
        table = shape.table
        for row in range(len(table.rows)):
            for column in range(len(table.columns)):
                cell = table.cell(row, column)
                width = table.columns[column].width - cell.margin_left - cell.margin_right
                yield cell.text_frame, width, table.rows[row].height - cell.margin_top - cell.margin_bottom


def text_of(slide: Slide) -> str:
    return "\n".join(frame.text for shape in slide.shapes for frame, _, _ in frames(shape))


def test_slides_are_wide(deck: Deck) -> None:
    assert deck.slide_width / deck.slide_height == pytest.approx(16 / 9, abs=1e-3)


def test_properties_name_the_team(deck: Deck) -> None:
    properties = deck.core_properties
    team = deck.slides[0].placeholders[1].text.splitlines()[0]
    assert properties.author == properties.last_modified_by == team
    assert properties.created.year > 2013  # the year of python-pptx's template


def test_type_is_large_enough(deck: Deck) -> None:
    sizes = [
        Pt(int(properties.get("sz")) / 100)
        for shape in shapes(deck)
        for frame, _, _ in frames(shape)
        for properties in frame._txBody.iter("{*}rPr")  # of runs, and of the field with the slide's number
    ]
    assert len(sizes) > 50
    assert min(sizes) >= SMALLEST


def test_plots_are_at_least_as_large_as_they_were_drawn(deck: Deck) -> None:
    """So that their type, too, is as large as it says."""
    for shape in shapes(deck):
        if shape.shape_type == MSO_SHAPE_TYPE.PICTURE and shape.image.dpi == (DPI, DPI):
            assert shape.width >= Emu(914400 * shape.image.size[0] // DPI)
            assert shape.width / shape.height == pytest.approx(
                shape.image.size[0] / shape.image.size[1], 1e-3
            )


def test_nothing_is_outside_the_slide(deck: Deck) -> None:
    slack = Emu(1000)  # a thousandth of an inch
    for shape in shapes(deck):
        assert shape.left >= 0
        assert shape.top >= 0
        assert shape.left + shape.width <= deck.slide_width + slack
        assert shape.top + shape.height <= deck.slide_height + slack


def test_shapes_do_not_overlap(deck: Deck) -> None:
    slack = Emu(1000)
    for slide in deck.slides:
        for one, other in combinations(slide.shapes, 2):
            apart = (
                one.left + one.width <= other.left + slack
                or other.left + other.width <= one.left + slack
                or one.top + one.height <= other.top + slack
                or other.top + other.height <= one.top + slack
            )
            assert apart, (slide.shapes.title.text, one.name, other.name)


def test_text_fits_into_its_box_even_in_a_wide_font(deck: Deck) -> None:
    """DejaVu Sans is a sixth wider than Arial, and what many Linux machines show in its place."""
    for slide in deck.slides:
        for shape in slide.shapes:
            for frame, width, height in frames(shape):
                needed = sum(height_of(paragraph, width) for paragraph in frame.paragraphs)
                assert needed <= height, (slide.shapes.title.text, frame.text)


def height_of(paragraph, width: int) -> int:
    """The height of a paragraph when its words are wrapped, and words that are too long broken."""
    if not paragraph.text:
        return 0
    font = paragraph.runs[0].font if paragraph.runs else None
    size, bold = (font.size, font.bold) if font else (SMALLEST, False)
    name = "DejaVuSans-Bold.ttf" if bold else "DejaVuSans.ttf"
    path = Path(mpl.get_data_path()) / "fonts" / "ttf" / name
    type_ = ImageFont.truetype(str(path), 100)

    def length(text: str) -> float:
        return type_.getlength(text) / 100 * size

    lines, line = 1, ""
    for word in paragraph.text.split(" "):
        longer = f"{line} {word}".strip()
        if length(longer) <= width:
            line = longer
            continue
        lines += bool(line)
        while length(word) > width:
            cut = max(1, next(i for i in range(len(word), 0, -1) if i == 1 or length(word[:i]) <= width))
            word, lines = word[cut:], lines + 1
        line = word
    return round(lines * LINE * size)


def test_pictures_have_alternative_texts_and_slides_have_titles(deck: Deck) -> None:
    for slide in deck.slides:
        assert slide.shapes.title.text
        for shape in slide.shapes:
            if shape.shape_type == MSO_SHAPE_TYPE.PICTURE:
                assert shape._element._nvXxPr.cNvPr.get("descr")


@pytest.fixture(scope="module")
def slides(facts: Facts) -> dict[str, Slide]:
    """Title -> slide."""
    return {slide.shapes.title.text: slide for slide in draw(facts).slides}


def add(facts: Facts, *functions: Callable[[Deck, Facts], None]) -> list[Slide]:
    """What single functions of SLIDES add."""
    deck = new_deck(facts.team)
    for function in functions:
        function(deck, facts)
    return list(deck.slides)


def test_the_slides_of_a_run(slides: dict[str, Slide]) -> None:
    assert list(slides) == TITLES


def test_what_a_run_cannot_say_is_left_out(facts: Facts) -> None:
    pictures = facts.pictures
    assert pictures is not None
    of_pictures = (opening.quiz, opening.labels, results.answers, results.errors, results.heat_maps)
    assert len(add(facts, *of_pictures)) == 5
    assert add(replace(facts, pictures=None), *of_pictures) == []
    assert add(replace(facts, pictures=replace(pictures, heat=None)), results.heat_maps) == []
    no_quiz = replace(facts, pictures=replace(pictures, heat=None, quiz=np.empty(0, int)))
    assert len(add(no_quiz, *of_pictures)) == 2
    right = replace(pictures.validation, predictions=pictures.validation.labels.astype(float))
    assert add(replace(facts, pictures=replace(pictures, validation=right)), results.errors) == []
    assert add(replace(facts, history=None), results.curves, results.epochs) == []
    assert add(replace(facts, plots={}), results.confusion) == []


def test_figures_are_those_of_the_run(facts: Facts, slides: dict[str, Slide]) -> None:
    """Another accuracy in metrics.json is another accuracy on every slide that has it."""
    metrics = facts.report["validation"] | {"accuracy": 0.4321, "accuracy_interval": [0.4001, 0.4602]}
    other = draw(replace(facts, report=facts.report | {"validation": metrics})).slides
    after = dict(zip(slides, map(text_of, other), strict=True))
    changed = [title for title, slide in slides.items() if text_of(slide) != after[title]]
    assert changed == [TITLES[i] for i in (6, 7, 11, 12)]
    assert sum("43.21%" in text for text in after.values()) == 3
    assert not any("70.00%" in text for text in after.values())


def test_the_answers_are_those_of_the_quiz(facts: Facts, slides: dict[str, Slide]) -> None:
    pictures = facts.pictures
    assert pictures is not None
    quiz, answers = slides[TITLES[1]], slides[TITLES[8]]
    shown = [
        [shape.image.sha1 for shape in slide.shapes if shape.shape_type == MSO_SHAPE_TYPE.PICTURE]
        for slide in (quiz, answers)
    ]
    assert shown[0] == shown[1]
    assert "REAL" not in text_of(quiz)
    photographs = ""
    for letter, i in zip("ABCDEF", pictures.quiz, strict=True):
        truth = "FAKE" if pictures.validation.names[i].startswith("real_") else "REAL"
        assert f"{letter}: {truth}\nmodel: " in text_of(answers)
        assert f"{pictures.validation.p_real[i]:.4f}" in text_of(answers)
        photographs += f" {letter}" if truth == "REAL" else ""
    assert f"Photographs are{photographs}." in quiz.notes_slide.notes_text_frame.text


@pytest.mark.parametrize(
    ("label_1", "title", "meaning"),
    [
        ("FAKE", "Our find: the labels are the wrong way round", ["FAKE\ngenerated", "REAL\nphotographs"]),
        ("REAL", "The data and its labels", ["REAL\nphotographs", "FAKE\ngenerated"]),
    ],
)
def test_what_the_labels_mean(label_1: str, title: str, meaning: list[str], facts: Facts) -> None:
    known = replace(facts, report=facts.report | {"data": facts.report["data"] | {"label_1": label_1}})
    [slide] = add(known, opening.labels)
    assert slide.shapes.title.text == title
    cards = [shape.text_frame.text for shape in slide.shapes if shape.shape_type == MSO_SHAPE_TYPE.AUTO_SHAPE]
    assert cards[2:] == [
        "called real\nreal_cifake_images/",
        meaning[0],
        "called fake\nfake_cifake_images/",
        meaning[1],
    ]


def test_the_overlap_is_said_beside_each_figure_of_the_validation_pictures(
    facts: Facts, slides: dict[str, Slide]
) -> None:
    known = draw(replace(facts, report=facts.report | {"validation_overlap": OVERLAP})).slides
    told = [slide.shapes.title.text for slide in known if "199 of the 200" in text_of(slide)]
    assert told == [TITLES[i] for i in (2, 4, 5, 6, 7, 8, 9, 11, 12)]
    assert not any("training data." in text_of(slide) for slide in slides.values())


def test_validation_pictures_are_not_called_unseen(slides: dict[str, Slide]) -> None:
    """Only pictures of others, and pictures still to be found, may be."""
    for title, slide in slides.items():
        if title not in ("Beside published figures", "What next"):
            for words in ("unseen", "held out", "not trained on", "has not seen"):
                assert words not in text_of(slide).lower()


def test_reasons_of_what_is_left_out_are_told(
    tree_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deck = presentation("x", tree_run, tmp_path / "nowhere", 3)
    assert "some slides are left out: there is no folder" in capsys.readouterr().err
    assert "3 predictions by ResNet18" in text_of(deck.slides[0])
