import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.images.preprocess import Preprocess
from model.predictor import Predictor
from tests.pictures import encode, noise
from training.data.datasets import load_train
from training.data.hackathon import Target
from training.data.labelled_images import DataError
from training.submission.slides.facts import Facts, collect


@pytest.fixture
def run(tree_run: Path, tmp_path: Path) -> Path:
    """A copy of the run folder, to be changed."""
    shutil.copytree(tree_run, tmp_path / "run")
    return tmp_path / "run"


def change_report(run: Path, **changes: object) -> None:
    report = json.loads((run / "metrics.json").read_text()) | changes
    (run / "metrics.json").write_text(json.dumps(report))


def test_everything_is_found(facts: Facts, tree_run: Path) -> None:
    assert facts.missing == ()
    assert set(facts.plots) == {"loss_curve", "accuracy_curve", "confusion", "roc", "reliability"}
    assert facts.pictures is not None
    assert facts.pictures.images.shape == (20, 32, 32, 3)
    assert facts.pictures.label_check is not None
    assert facts.pictures.validation.is_real[facts.pictures.quiz].sum() == 3
    predictor = Predictor.load(tree_run / "cifake_model.pth")
    heat = predictor.explain(facts.pictures.images[facts.pictures.quiz])
    assert facts.pictures.heat is not None
    assert np.allclose(facts.pictures.heat, heat, atol=1e-5)


def test_other_pictures_are_not_shown(tree: Path, run: Path, tmp_path: Path) -> None:
    shutil.copytree(tree, tmp_path / "data")
    name = "real_cifake_images/1.png"
    (tmp_path / "data" / name).write_bytes(encode(noise(77)))
    facts = collect("x", run, tmp_path / "data", 1)
    assert facts.pictures is None
    assert facts.missing == (
        f"the pictures in {tmp_path / 'data'} are not those that the run was validated with",
    )


@pytest.mark.parametrize("target", ["detector", "mixture"])
def test_pictures_of_other_targets_are_found(target: Target, tree: Path, run: Path) -> None:
    pictures = load_train(tree, Preprocess(), target).pictures
    names = [line.partition(",")[0] for line in (run / "validation.csv").read_text().splitlines()[1:]]
    digest = pictures.select(np.array([pictures.names.index(name) for name in names])).digest()
    data = json.loads((run / "metrics.json").read_text())["data"]
    change_report(run, data=data | {"validation": {"pictures": 20, "sha256": digest}})
    assert collect("x", run, tree, 1).pictures is not None


def test_without_a_data_set(run: Path, tmp_path: Path) -> None:
    facts = collect("x", run, tmp_path / "nowhere", 1)
    assert facts.pictures is None
    assert "there is no folder" in facts.missing[0]


def test_a_checkpoint_of_another_run_gives_no_heat_maps(tree: Path, run: Path) -> None:
    report = json.loads((run / "metrics.json").read_text())
    change_report(run, validation=report["validation"] | {"auroc": 0.5})
    (run / "broken.pth").write_bytes(b"no checkpoint")
    facts = collect("x", run, tree, 1)
    assert facts.pictures is not None
    assert facts.pictures.heat is None
    assert facts.missing == (f"{run} has no checkpoint with the metrics of its metrics.json",)


def test_a_run_without_validation_pictures(tree: Path, run: Path) -> None:
    (run / "validation.csv").unlink()
    facts = collect("x", run, tree, 1)
    assert facts.pictures is None
    assert set(facts.plots) == {"loss_curve", "accuracy_curve"}
    assert facts.missing == (f"there is no {run / 'validation.csv'}",)


@pytest.mark.parametrize("report", [{}, {"folds": 5, "validation": {}}])
def test_other_folders_are_an_error(report: dict, run: Path, tree: Path) -> None:
    (run / "metrics.json").write_text(json.dumps(report))
    with pytest.raises(DataError, match="has no recipe, data, best_epoch, seconds"):
        collect("x", run, tree, 1)


def test_overlap_in_words(facts: Facts) -> None:
    assert facts.overlap == ""
    overlap = {"count": 199, "total": 200, "of": "the initial weights' training data"}
    known = replace(facts, report=facts.report | {"validation_overlap": overlap})
    assert known.overlap == "199 of the 200 validation pictures stand in the initial weights' training data."
