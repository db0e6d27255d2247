import json
from itertools import combinations
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from PIL import Image

from training.data.labelled_images import DataError
from training.evaluation import figures
from training.evaluation.figures import DPI, FONT, SIZE, Draw
from training.evaluation.metrics import classification_metrics
from training.evaluation.plots import (
    confusion_matrix,
    plot_run,
    reliability_diagram,
    roc,
    run_plots,
)
from training.evaluation.run_folder import Validation

NAMES = ["loss_curve", "accuracy_curve", "confusion", "roc", "reliability"]


def set_label_1(run: Path, label_1: str | None) -> None:
    report = json.loads((run / "metrics.json").read_text())
    report["data"]["label_1"] = label_1
    (run / "metrics.json").write_text(json.dumps(report))


def drawn(draw: Draw) -> Axes:
    """The axes of a plot, laid out as they are for a PNG, but without its pixels."""
    kept: list[Axes] = []

    def keep(axes: Axes) -> None:
        draw(axes)
        kept.append(axes)

    def lay_out(figure: Figure, *_: object, **__: object) -> None:
        figure.draw_without_rendering()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", lay_out)
        figures.render(keep)
    return kept[0]


def visible_texts(axes: Axes) -> list[Text]:
    """All that is drawn: ticks beyond the ends of an axis are not."""
    beyond: list[Text] = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = zip(axis.get_majorticklocs(), axis.get_majorticklabels(), strict=True)
        beyond += [label for place, label in ticks if not low <= place <= high]
    texts = axes.figure.findobj(lambda artist: isinstance(artist, Text) and artist not in beyond)
    return [text for text in texts if text.get_visible() and text.get_text().strip()]


def test_five_plots_that_are_not_blank(run: Path) -> None:
    paths = plot_run(run)
    assert [path.name for path in paths] == [f"{name}.png" for name in NAMES]
    for path in paths:
        with Image.open(path) as image:
            assert image.size == tuple(side * DPI for side in SIZE)
            assert image.info["dpi"] == pytest.approx((DPI, DPI), abs=0.1)
            colours = image.convert("RGB").getcolors(image.width * image.height)
        assert len(colours) > 50


@pytest.mark.parametrize("label_1", ["REAL", "FAKE", None])
@pytest.mark.parametrize("name", NAMES)
def test_text_is_large_and_inside_the_figure_and_covers_no_other(
    name: str, label_1: str | None, run: Path
) -> None:
    set_label_1(run, label_1)
    axes = drawn(run_plots(run)[name])
    texts = visible_texts(axes)
    assert {text.get_fontsize() for text in texts} == {FONT}
    extents = [text.get_window_extent() for text in texts]
    for extent in extents:
        assert 0 <= extent.x0 < extent.x1 <= axes.figure.bbox.width
        assert 0 <= extent.y0 < extent.y1 <= axes.figure.bbox.height
    for one, other in combinations(extents, 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("name", ["loss_curve", "accuracy_curve", "reliability"])
def test_legends_are_not_on_the_data(name: str, run: Path) -> None:
    axes = drawn(run_plots(run)[name])
    legend = axes.get_legend()
    assert legend is not None
    assert legend.get_window_extent().y0 >= axes.bbox.y1


def test_missing_files_are_skipped(run: Path) -> None:
    (run / "history.csv").unlink()
    assert len(plot_run(run)) == 3


def test_runs_of_older_versions(run: Path) -> None:
    lines = (run / "validation.csv").read_text().splitlines()
    (run / "validation.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (run / "history.csv").unlink()
    (run / "metrics.json").unlink()
    assert (run / "reliability.png") in plot_run(run)


def test_other_folders_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        plot_run(tmp_path)
    (tmp_path / "history.csv").write_text("epoch,train_loss\n")
    with pytest.raises(DataError, match="is empty"):
        plot_run(tmp_path)


PREDICTIONS = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.6, 0.3])
LABELS = np.array([1, 1, 1, 1, 0, 0, 0], np.uint8)


def cells(label_1: str | None) -> dict[tuple[float, float], str]:
    """(column, row) -> the text in the cell."""
    axes = Figure().add_subplot()
    validation = Validation(list("abcdefg"), LABELS, PREDICTIONS, None, label_1)
    confusion_matrix(axes, validation, classification_metrics(PREDICTIONS, LABELS))
    assert [label.get_text() for label in axes.get_yticklabels()] == ["REAL", "FAKE"]
    return {text.get_position(): text.get_text() for text in axes.texts}


def test_the_confusion_matrix_has_counts_and_shares_by_what_real_means_in_truth() -> None:
    assert cells("REAL") == cells(None)
    assert cells("REAL") == {
        (0, 0): "3\n75.0%",
        (1, 0): "1\n25.0%",
        (0, 1): "1\n33.3%",
        (1, 1): "2\n66.7%",
    }
    assert cells("FAKE") == {
        (0, 0): "2\n66.7%",
        (1, 0): "1\n33.3%",
        (0, 1): "1\n25.0%",
        (1, 1): "3\n75.0%",
    }


@pytest.mark.parametrize(
    ("label_1", "meaning"),
    [
        ("REAL", "REAL: photographs (label 1)"),
        ("FAKE", "REAL: photographs (label 0)"),
        (None, "REAL: label 1 of the data"),
    ],
)
def test_the_confusion_matrix_says_which_real_is_meant(label_1: str | None, meaning: str) -> None:
    axes = Figure().add_subplot()
    validation = Validation(list("abcdefg"), LABELS, PREDICTIONS, None, label_1)
    confusion_matrix(axes, validation, classification_metrics(PREDICTIONS, LABELS))
    assert axes.get_title(loc=mpl.rcParams["axes.titlelocation"]) == f"Accuracy 71.43%\n{meaning}"


def test_an_empty_row_of_a_class_does_not_occur() -> None:
    """A class without pictures is refused before, so that shares are never of nothing."""
    with pytest.raises(ValueError, match="pictures of both labels"):
        classification_metrics(PREDICTIONS, np.ones(7, np.uint8))


@pytest.mark.parametrize("label_1", ["REAL", "FAKE"])
def test_the_dot_of_the_roc_curve_is_on_it(label_1: str) -> None:
    axes = Figure().add_subplot()
    validation = Validation(list("abcdefg"), LABELS, PREDICTIONS, None, label_1)
    roc(axes, validation, classification_metrics(PREDICTIONS, LABELS))
    _, curve, dot = axes.lines
    [point] = dot.get_xydata()
    assert point.tolist() in np.asarray(curve.get_xydata()).tolist()
    answers = np.array(validation.answers_real)[validation.is_real]
    assert point[1] == pytest.approx(100 * answers.mean())


def test_reliability_by_hand() -> None:
    axes = Figure().add_subplot()
    labels = np.repeat([1, 0, 1, 0], [30, 10, 15, 25])
    calibrated = np.repeat([0.9, 0.9, 0.4, 0.4], [30, 10, 15, 25])  # right on 75 % and on 62.5 %
    curves = {"before": np.repeat([0.99, 0.99, 0.2, 0.2], [30, 10, 15, 25]), "after": calibrated}
    reliability_diagram(axes, curves, labels)
    before, after = axes.containers
    for container, expected in ((before, [0.8, 0.8, 0.99, 0.99]), (after, [0.6, 0.6, 0.9, 0.9])):
        x, y = container.lines[0].get_data()
        assert np.asarray(x).tolist() == pytest.approx(expected)
        assert np.asarray(y).mean() == pytest.approx((75 + 62.5) / 2)
    assert after.get_label() == "after: ECE 8.75%"


@pytest.mark.parametrize("highest", [0.6, 0.9, 0.99, 0.999, 0.9999, 0.99999, 1.0])
def test_the_axis_of_confidence_holds_all_bins(highest: float) -> None:
    predictions = np.linspace(1 - highest, highest, 400)
    labels = np.arange(400) % 2
    axes = drawn(lambda axes: reliability_diagram(axes, {"after": predictions}, labels))
    [container] = axes.containers
    low, high = axes.get_xlim()
    x = np.asarray(container.lines[0].get_xdata())
    assert ((low <= x) & (x <= high)).all()
    extents = [text.get_window_extent() for text in axes.get_xticklabels()]
    assert len(extents) >= 3
    assert not any(one.overlaps(other) for one, other in combinations(extents, 2))
