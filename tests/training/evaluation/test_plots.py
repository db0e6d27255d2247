from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from training.data.labelled_images import DataError
from training.evaluation.plots import plot_run, reliability_diagram


def test_five_plots_that_are_not_blank(run: Path) -> None:
    paths = plot_run(run)
    names = ["loss_curve", "accuracy_curve", "confusion", "roc", "reliability"]
    assert [path.name for path in paths] == [f"{name}.png" for name in names]
    for path in paths:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("RGB"))
        assert pixels.shape[1] > 700
        assert len(np.unique(pixels.reshape(-1, 3), axis=0)) > 50


def test_missing_files_are_skipped(run: Path) -> None:
    (run / "history.csv").unlink()
    assert len(plot_run(run)) == 3


def test_runs_of_older_versions(run: Path) -> None:
    lines = (run / "validation.csv").read_text().splitlines()
    (run / "validation.csv").write_text("\n".join(line.rpartition(",")[0] for line in lines))
    (run / "history.csv").unlink()
    assert (run / "reliability.png") in plot_run(run)


def test_other_folders_are_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="not a run folder"):
        plot_run(tmp_path)
    (tmp_path / "history.csv").write_text("epoch,train_loss\n")
    with pytest.raises(DataError, match="is empty"):
        plot_run(tmp_path)


def test_reliability_by_hand() -> None:
    axes = Figure().add_subplot()
    calibrated = np.array([0.9, 0.9, 0.9, 0.9, 0.6])
    curves = {"before": np.array([0.99, 0.99, 0.99, 0.99, 0.8]), "after": calibrated}
    reliability_diagram(axes, curves, np.array([1, 1, 1, 0, 1]))
    for line, expected in ((1, [0.8, 0.99]), (2, [0.6, 0.9])):
        x, y = axes.lines[line].get_data()
        assert np.asarray(x).tolist() == pytest.approx(expected)
        assert np.asarray(y).tolist() == pytest.approx([1.0, 0.75])
    assert axes.lines[2].get_label() == "after, ECE 20.00%"
