"""The commands, run as from the command line on small data sets."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from model.checkpoint import Checkpoint
from tests.pictures import encode
from tests.trees import cifake_tree, hackathon_tree, picture
from training import cli
from training.evaluation.ood_images import KINDS
from training.fitting.recipes import RECIPES


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifake", "hackathon"):
        recipe = replace(RECIPES[name], lr_cycles=((8,),), batch_size=8, validation_fraction=0.2)
        monkeypatch.setitem(RECIPES, name, recipe)


def test_train_and_evaluate_on_a_cifake_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree = cifake_tree(tmp_path / "cifake")
    (tree / "test" / "REAL" / "leak.png").write_bytes(encode(picture(1, 0)))
    for name in ("REAL", "FAKE"):
        (tree / "train" / name / "both.png").write_bytes(encode(picture(1, 70)))
    out = tmp_path / "run" / "cifake_model.pth"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu", "--seed", "7"]
    assert cli.main(train) == 0
    printed, errors = capsys.readouterr()
    assert "is a CIFAKE tree: 42 labelled pictures" in printed
    assert "dropped 1 that are in the test split too, 0 repeats and 2 with both labels" in printed
    assert "with both labels: REAL/both.png, FAKE/both.png" in errors
    assert "31 pictures to train on, 8 to validate with" in printed
    assert "on validation, Calibration(temperature=" in printed
    assert "Label 1 means REAL in this model's training data." in printed
    checkpoint = Checkpoint.load(out)
    assert checkpoint.metadata.recipe["name"] == "cifake"
    assert (checkpoint.metadata.recipe["init"], checkpoint.metadata.recipe["seed"]) == ("none", 7)
    assert checkpoint.metadata.data["training"]["pictures"] == 31
    assert checkpoint.metadata.data["dropped_contradictions"] == 2
    assert checkpoint.metadata.metrics["validation"]["pictures"] == 8
    assert checkpoint.metadata.calibration.temperature > 0
    for name in ("history.csv", "metrics.json", "loss_curve.png", "accuracy_curve.png", "confusion.png"):
        assert (out.parent / name).is_file()

    report = tmp_path / "report" / "metrics.json"
    arguments = ["evaluate", "--data", str(tree), "--model", str(out), "--json", str(report)]
    arguments += ["--device", "cpu"]
    diagram = tmp_path / "report" / "reliability.png"
    assert cli.main([*arguments, "--robustness", "--ood", "--deletion", "--plot", str(diagram)]) == 0
    assert diagram.is_file()
    metrics = json.loads(report.read_text())
    assert metrics["pictures"] == 9
    assert metrics["model_sha256"] == checkpoint.metadata.digest
    assert metrics["robustness"]["as they are"]["accuracy"] == metrics["accuracy"]
    assert metrics["ood"].keys() == KINDS.keys()
    assert metrics["deletion"]["pictures"] == 9
    assert f"accuracy   {metrics['accuracy']:.2%}" in capsys.readouterr().out

    # The folder of a split is the same data set as the tree.
    again = tmp_path / "again.json"
    arguments[2], arguments[6] = str(tree / "test"), str(again)
    assert cli.main(arguments) == 0
    assert json.loads(again.read_text())["data"]["sha256"] == metrics["data"]["sha256"]

    # The complement predicts the other label.
    assert cli.main([*arguments, "--positive", "FAKE"]) == 0
    complement = json.loads(again.read_text())
    assert complement["accuracy"] == pytest.approx(1 - metrics["accuracy"])


def test_hackathon_from_merge_to_submission(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    hackathon_tree(tmp_path / "data" / "hackathon")
    out = "runs/hackathon/cifake_model.pth"
    assert cli.main(["merge", "data/hackathon"]) == 0
    assert len(json.loads(Path("data/hackathon/train_meta.json").read_text())) == 40
    train = ["train", "--recipe", "hackathon", "--data", "data/hackathon", "--out", out, "--device", "cpu"]
    assert cli.main([*train, "--label-1", "FAKE", "--target", "mixture"]) == 0
    printed = capsys.readouterr().out
    assert "tensors start from shipped" in printed
    assert "Label 1 means FAKE in this model's training data" in printed
    assert Checkpoint.load(Path(out)).metadata.positive_class == "FAKE"

    assert cli.main(["submission", "--team", "x"]) == 1
    assert "infer data/hackathon/test_images --team x" in capsys.readouterr().err
    infer = ["infer", "data/hackathon/test_images", "--team", "x", "--model", out, "--device", "cpu"]
    assert cli.main([*infer, "--positive", "FAKE"]) == 0
    assert "of P(FAKE)" in capsys.readouterr().out
    as_fake = json.loads(Path("outputs/x_prediction.json").read_text())
    assert cli.main(infer) == 0
    as_real = json.loads(Path("outputs/x_prediction.json").read_text())
    assert [row["image_id"] for row in as_real] == [f"{i}.png" for i in range(1, 6)]
    for one, other in zip(as_fake, as_real, strict=True):
        assert one["prediction"] == pytest.approx(1 - other["prediction"], abs=2e-6)

    assert cli.main(["submission", "--team", "x"]) == 0
    with zipfile.ZipFile("outputs/x_submission.zip") as archive:
        assert "x_presentation.pptx" in archive.namelist()
    assert cli.main(["plots", "runs/hackathon"]) == 0
    assert "reliability.png" in capsys.readouterr().out


def test_quantise_measures_on_the_validation_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = cifake_tree(tmp_path / "cifake")
    out, new = tmp_path / "run" / "cifake_model.pth", tmp_path / "new.pth"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]
    assert cli.main([*train, "--precision", "bf16"]) == 0
    assert Checkpoint.load(out).metadata.recipe["precision"] == "bf16"
    before = out.read_bytes()
    quantise = ["quantise", "--model", str(out), "--out", str(new)]
    assert cli.main([*quantise, "--data", str(tree)]) == 0
    printed = capsys.readouterr().out
    assert "of 8 validation pictures" in printed
    assert "`auto` does not take it" in printed
    assert out.read_bytes() == before
    assert Checkpoint.load(new).metadata.int8
    (tree / "train" / "REAL" / "0.png").unlink()
    assert cli.main([*quantise, "--data", str(tree)]) == 1
    assert "was validated with other pictures" in capsys.readouterr().err


def test_a_diverging_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "cifake", replace(RECIPES["cifake"], learning_rate=1e30, warmup=0.0))
    tree, out = cifake_tree(tmp_path / "cifake"), tmp_path / "run" / "x.pth"
    assert cli.main(["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]) == 1
    assert "is not finite; nothing of this epoch was saved" in capsys.readouterr().err
    assert not out.parent.exists()


def test_labels_are_audited_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hackathon_tree(tmp_path / "data")
    out = tmp_path / "run" / "x.pth"
    arguments = ["--data", str(tmp_path / "data"), "--device", "cpu"]
    assert cli.main(["train", "--recipe", "hackathon", "--out", str(out), *arguments]) == 0
    assert "The labels look" in capsys.readouterr().out


def test_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hackathon_tree(tmp_path / "data", 8)
    out = tmp_path / "out"
    assert cli.main(["audit", str(tmp_path / "data"), "--out", str(out), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "16 pictures. The labels look" in printed
    rows = [line.split(",") for line in (out / "audit.csv").read_text().splitlines()[1:]]
    assert len(rows) == 16
    probabilities = [float(row[2]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert (out / "audit.png").is_file()


def test_cross_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hackathon_tree(tmp_path / "data")
    out = tmp_path / "cv"
    arguments = ["--data", str(tmp_path / "data"), "--folds", "2", "--out", str(out), "--device", "cpu"]
    assert cli.main(["crossvalidate", "--recipe", "hackathon", *arguments]) == 0
    report = json.loads((out / "metrics.json").read_text())
    assert (report["folds"], report["validation"]["pictures"]) == (2, 40)
    assert "2 folds of recipe hackathon" in capsys.readouterr().out


def test_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The labels of one data set are inverted in the other."""
    hackathon_tree(tmp_path / "here", 6)
    tree = cifake_tree(tmp_path / "there")
    for name in ("real", "fake"):
        (tmp_path / "here" / f"{name}_cifake_images").rename(tmp_path / name)
    (tmp_path / "real").rename(tmp_path / "here" / "fake_cifake_images")
    (tmp_path / "fake").rename(tmp_path / "here" / "real_cifake_images")
    assert cli.main(["overlap", str(tmp_path / "here"), str(tree)]) == 0
    printed = capsys.readouterr().out
    assert "12 of 12 pictures" in printed
    assert "6 labelled REAL here and FAKE there" in printed
    assert "6 labelled FAKE here and REAL there" in printed
