import json
from pathlib import Path

from pptx.enum.shapes import MSO_SHAPE_TYPE

from training.evaluation.plots import plot_run
from training.submission.slides import presentation


def test_slides_of_a_run(run: Path) -> None:
    plot_run(run)
    report = json.loads((run / "metrics.json").read_text())
    deck = presentation("Team 7", report, run, 500)
    titles = [slide.shapes.title.text for slide in deck.slides]
    assert titles[0] == "Photograph or generated?"
    assert {"The problem", "The method", "Training", "Results on 200 validation pictures", "Limits"} < set(
        titles
    )
    shapes = [shape for slide in deck.slides for shape in slide.shapes]
    assert [shape.shape_type for shape in shapes].count(MSO_SHAPE_TYPE.PICTURE) == 4
    [table] = [shape.table for shape in shapes if shape.has_table]
    assert table.cell(1, 1).text == f"{report['validation']['accuracy']:.2%}"
    text = " ".join(shape.text_frame.text for shape in shapes if shape.has_text_frame)
    assert "Team 7" in text
    assert "initial weights: shipped" in text


def test_slides_without_plots(run: Path) -> None:
    report = json.loads((run / "metrics.json").read_text())
    deck = presentation("x", report, run, 500)
    assert "500 predictions" in deck.slides[0].placeholders[1].text
