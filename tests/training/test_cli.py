import argparse
import json
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from model import SHIPPED
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from tests.pictures import encode
from tests.trees import cifake_tree, hackathon_tree, picture
from training import cli, commands
from training.evaluation.ood_images import KINDS
from training.fitting.recipes import RECIPES


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifake", "hackathon"):
        recipe = replace(RECIPES[name], lr_cycles=((8,),), batch_size=8, validation_fraction=0.2)
        monkeypatch.setitem(RECIPES, name, recipe)


def test_from_folders_to_a_checkpoint_to_its_figures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = cifake_tree(tmp_path / "cifake")
    (tree / "test" / "REAL" / "leak.png").write_bytes(encode(picture(1, 0)))
    for name in ("REAL", "FAKE"):
        (tree / "train" / name / "both.png").write_bytes(encode(picture(1, 70)))
    out = tmp_path / "run" / "cifake_model.pth"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu", "--seed", "7"]
    assert cli.main(train) == 0
    printed, told = capsys.readouterr()
    assert "is a CIFAKE tree: 42 labelled pictures" in printed
    assert "dropped 1 that stand in test too, 0 repeats and 2 that stand under both labels" in printed
    assert "under both labels: REAL/both.png, FAKE/both.png" in told
    assert "31 pictures to train on, 8 to validate with" in printed
    assert "on validation, Calibration(temperature=" in printed
    assert "Label 1 of this model's training data is REAL in truth." in printed
    checkpoint = Checkpoint.load(out)
    assert checkpoint.metadata.recipe["name"] == "cifake"
    assert (checkpoint.metadata.recipe["init"], checkpoint.metadata.recipe["seed"]) == ("none", 7)
    assert checkpoint.metadata.data["training"]["pictures"] == 31
    assert checkpoint.metadata.data["dropped_contradictions"] == 2
    assert checkpoint.metadata.metrics["validation"]["pictures"] == 8
    assert checkpoint.metadata.calibration.temperature > 0
    for name in ("history.csv", "metrics.json", "loss_curve.png", "accuracy_curve.png", "confusion.png"):
        assert (out.parent / name).is_file()

    report = tmp_path / "report" / "figures.json"
    arguments = ["evaluate", "--data", str(tree), "--model", str(out), "--json", str(report)]
    arguments += ["--device", "cpu"]
    diagram = tmp_path / "report" / "reliability.png"
    assert cli.main([*arguments, "--robustness", "--ood", "--deletion", "--plot", str(diagram)]) == 0
    assert diagram.is_file()
    figures = json.loads(report.read_text())
    assert figures["pictures"] == 9
    assert figures["model_sha256"] == checkpoint.metadata.digest
    assert figures["robustness"]["as they are"]["accuracy"] == figures["accuracy"]
    assert figures["ood"].keys() == KINDS.keys()
    assert figures["deletion"]["pictures"] == 9
    assert f"accuracy   {figures['accuracy']:.2%}" in capsys.readouterr().out

    # The folder of a split does as well as the tree it stands in.
    again = tmp_path / "again.json"
    arguments[2], arguments[6] = str(tree / "test"), str(again)
    assert cli.main(arguments) == 0
    assert json.loads(again.read_text())["data"]["sha256"] == figures["data"]["sha256"]

    # The other label's probability is wrong where this one's is right.
    assert cli.main([*arguments, "--positive", "FAKE"]) == 0
    turned = json.loads(again.read_text())
    assert turned["accuracy"] == pytest.approx(1 - figures["accuracy"])


def test_from_the_hackathons_tree_to_its_zip(
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
    assert "Label 1 of this model's training data is FAKE in truth" in printed
    assert Checkpoint.load(Path(out)).metadata.positive_class == "FAKE"

    assert cli.main(["submission", "--team", "x"]) == 1
    assert "infer data/hackathon/test_images --team x" in capsys.readouterr().err
    infer = ["infer", "data/hackathon/test_images", "--team", "x", "--model", out, "--device", "cpu"]
    assert cli.main([*infer, "--positive", "FAKE"]) == 0
    assert "each P(FAKE)" in capsys.readouterr().out
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


def test_quantise_judges_by_the_validation_pictures(
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
    assert Checkpoint.load(new).int8
    (tree / "train" / "REAL" / "0.png").unlink()
    assert cli.main([*quantise, "--data", str(tree)]) == 1
    assert "was validated with other pictures" in capsys.readouterr().err


def test_a_run_that_diverges_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(RECIPES, "cifake", replace(RECIPES["cifake"], learning_rate=1e30, warmup=0.0))
    tree, out = cifake_tree(tmp_path / "cifake"), tmp_path / "run" / "x.pth"
    assert cli.main(["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]) == 1
    assert "is not finite; nothing of this epoch was saved" in capsys.readouterr().err
    assert not out.parent.exists()


def test_labels_are_looked_at_before_training(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
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
    suspicion = [float(row[2]) for row in rows]
    assert suspicion == sorted(suspicion, reverse=True)
    assert (out / "audit.png").is_file()


def test_cross_validation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hackathon_tree(tmp_path / "data")
    out = tmp_path / "cv"
    arguments = ["--data", str(tmp_path / "data"), "--folds", "2", "--out", str(out), "--device", "cpu"]
    assert cli.main(["crossvalidate", "--recipe", "hackathon", *arguments]) == 0
    report = json.loads((out / "metrics.json").read_text())
    assert (report["folds"], report["validation"]["pictures"]) == (2, 40)
    assert "2 folds of recipe hackathon" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere", "--out", "x.pth"], "there is no folder nowhere"),
        (["train", "--data", "nowhere", "--out", "."], ". is a folder"),
        (["train", "--data", "nowhere", "--out", "x.resume"], "is the state of a run"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--resume"], "nothing to resume: there is no file"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--init", "nowhere.pth"], "there is no file"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--device", "abacus"], "abacus"),
        (["merge", "nowhere"], "holds no real_cifake_images/"),
        (["infer", "nowhere", "--team", "x"], "there is no folder nowhere"),
        (["infer", ".", "--team", "../x"], "a team's name is"),
        (["audit", "nowhere"], "there is no folder nowhere"),
        (["plots", "nowhere"], "not a run folder"),
        (["submission", "--team", "x"], "data/hackathon holds no real_cifake_images/"),
        (
            ["train", "--data", "x", "--out", "x.pth", "--device", "meta", "--precision", "bf16"],
            "no autocast",
        ),
        (["quantise", "--data", "nowhere", "--out", "x.pth"], "there is no folder nowhere"),
        (["quantise", "--data", "nowhere", "--out", str(SHIPPED)], "--out is the checkpoint that is read"),
        (["evaluate", "--data", "nowhere"], "there is no folder nowhere"),
        (["evaluate", "--data", "nowhere", "--model", "nowhere.pth"], "there is no file"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert list(tmp_path.iterdir()) == []


WRITTEN, READ = {"out", "json", "plot"}, {"data", "model", "images", "other", "folder"}
COMMANDS: dict[str, argparse.ArgumentParser] = next(
    action.choices for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction)
)


def test_every_path_is_known_to_be_read_or_written() -> None:
    for command in COMMANDS.values():
        assert {action.dest for action in command._actions if action.type is Path} <= WRITTEN | READ


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, action.option_strings[0])
        for name, command in COMMANDS.items()
        for action in command._actions
        if action.dest in WRITTEN
    ],
)
def test_what_cannot_be_written_is_told_before_anything_is_read(
    name: str,
    option: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    arguments = [name, option, "file/x"]
    for action in COMMANDS[name]._actions:
        if not action.option_strings:
            arguments.append("nowhere")
        elif action.required and action.option_strings[0] != option:
            arguments += [action.option_strings[0], "nowhere"]
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert "file" in error
    assert "nowhere" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("change", "option", "sentence"),
    [
        ({}, "--ood", "does not know its domain"),
        ({"preprocess": Preprocess(40)}, "--robustness", "multiples of 16"),
    ],
)
def test_a_checkpoint_that_cannot_be_asked_is_told_before_anything_is_read(
    change: dict,
    option: str,
    sentence: str,
    random_checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    random_checkpoint.updated(**change).save(tmp_path / "x.pth")
    arguments = ["--data", "nowhere", "--model", str(tmp_path / "x.pth"), "--engine", "torch"]
    assert cli.main(["evaluate", *arguments, option]) == 1
    assert sentence in capsys.readouterr().err
    assert cli.main(["evaluate", *arguments]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("begun", [True, False])
def test_ctrl_c_advises_what_can_be_done(
    begun: bool,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stopped(options: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    if begun:
        (tmp_path / "x.resume").touch()
    monkeypatch.setattr(commands, {"plots": "draw"}.get(name, name), stopped)
    arguments = [name]
    for action in COMMANDS[name]._actions:
        if not action.option_strings:
            arguments.append("x")
        elif action.required:
            arguments += [action.option_strings[0], "x.pth"]
    assert cli.main(arguments) == 130
    advised = "; train --resume goes on after the last whole epoch" if begun and name == "train" else ""
    assert capsys.readouterr().err == f"stopped{advised}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ["crossvalidate", "--data", "x", "--out", "x", "--folds", "1"],
        ["crossvalidate", "--data", "x", "--out", "x", "--sample", "0"],
        ["audit", "x", "--show", "-5"],
        ["audit", "x", "--show", "some"],
    ],
)
def test_numbers_that_mean_nothing_are_refused(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert "is not a whole number from" in capsys.readouterr().err


def test_a_bare_state_dict_claims_nothing_of_its_labels(
    random_checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    commands._tell_positive_class(random_checkpoint)
    assert "does not say what label 1" in capsys.readouterr().out
    commands._tell_positive_class(random_checkpoint.updated(data={"label_1": "FAKE"}, positive_class="FAKE"))
    assert "is FAKE in truth" in capsys.readouterr().out


def test_overlap(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Names cross over: what one tree calls real is fake in the other."""
    hackathon_tree(tmp_path / "here", 6)
    tree = cifake_tree(tmp_path / "there")
    for name in ("real", "fake"):
        (tmp_path / "here" / f"{name}_cifake_images").rename(tmp_path / name)
    (tmp_path / "real").rename(tmp_path / "here" / "fake_cifake_images")
    (tmp_path / "fake").rename(tmp_path / "here" / "real_cifake_images")
    assert cli.main(["overlap", str(tmp_path / "here"), str(tree)]) == 0
    printed = capsys.readouterr().out
    assert "12 of 12 pictures" in printed
    assert "6 called REAL here and FAKE there" in printed
    assert "6 called FAKE here and REAL there" in printed
