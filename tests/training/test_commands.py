"""The commands, run as from the command line on small data sets."""

import json
import os
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from pptx import Presentation

from model.architecture import Architecture
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.network import build_network
from tests.networks import build_narrow_networks, needs_timm, random_network
from tests.pictures import encode, noise
from tests.trees import cifake_tree, hackathon_tree, picture
from training import cli
from training.data import published_test
from training.data.datasets import load_test, load_train
from training.data.fingerprints import fingerprints, write_fingerprints
from training.data.labelled_images import train_val_split
from training.evaluation import ood
from training.evaluation.ood_images import KINDS, ood_images
from training.fitting.quantization import original_split
from training.fitting.recipes import RECIPES
from training.submission.origin import read_origin


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("cifake", "hackathon"):
        recipe = replace(
            RECIPES[name], lr_cycles=((8,),), early_stems=(), batch_size=8, validation_fraction=0.2
        )
        monkeypatch.setitem(RECIPES, name, recipe)


@needs_timm
def test_the_commands_with_another_backbone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tree, out, backbone = cifake_tree(tmp_path / "cifake"), tmp_path / "run", "mobilenetv3_small"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu", "--lr", "0.01"]
    assert cli.main([*train, "--backbone", backbone]) == 0
    assert f"\nrecipe cifake, but learning rate 0.01, backbone {backbone}\n" in capsys.readouterr().out
    model = out / "cifake_model.pth"
    trained = Checkpoint.load(model).metadata
    assert trained.architecture == Architecture("small", backbone=backbone)
    assert trained.ood_detector is not None
    assert trained.ood_detector.mean.shape == (trained.architecture.ood_features,)
    figures = []
    for engine in ("torch", "openvino"):
        json_file = tmp_path / f"{engine}.json"
        evaluate = ["evaluate", "--data", str(tree), "--model", str(model), "--json", str(json_file)]
        assert cli.main([*evaluate, "--engine", engine]) == 0
        figures.append(json.loads(json_file.read_text()))
    assert figures[0]["accuracy"] == figures[1]["accuracy"]
    [image, *_] = (tree / "test" / "REAL").iterdir()
    assert cli.main(["explain", str(image), "--model", str(model), "--out", str(out)]) == 0
    assert (out / f"{image.stem}_gradcam.png").is_file()
    assert cli.main(["export", str(tmp_path / "x.onnx"), "--model", str(model)]) == 0
    again = ["--out", str(tmp_path / "again"), "--init", str(model), "--backbone", backbone]
    capsys.readouterr()
    assert cli.main([*train, *again]) == 0
    assert f"tensors start from {model}" in capsys.readouterr().out


def test_train_and_evaluate_on_a_cifake_tree(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ood, "ood_images", lambda count: ood_images(count // 20))
    tree = cifake_tree(tmp_path / "cifake")
    (tree / "test" / "REAL" / "leak.png").write_bytes(encode(picture(1, 0)))
    for name in ("REAL", "FAKE"):
        (tree / "train" / name / "both.png").write_bytes(encode(picture(1, 70)))
    out = tmp_path / "run" / "cifake_model.pth"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu", "--seed", "7"]
    assert cli.main(train) == 0
    printed, errors = capsys.readouterr()
    assert "is a CIFAKE tree: 42 labelled pictures" in printed
    assert "The labels look" in printed
    assert "dropped 1 that are in the test split too, 0 repeats and 2 with both labels" in printed
    assert "with both labels: REAL/both.png, FAKE/both.png" in errors
    assert "31 pictures to train on, 8 to validate with" in printed
    assert "Not calibrated: there are 8 validation pictures, and calibration takes 1000" in printed
    assert "\nrecipe cifake, but seed 7\n" in printed
    assert re.search(r"\npictures +8\n", printed)
    assert "Confidences are not calibrated." in printed
    epochs = printed[printed.index("epoch  training loss") :].splitlines()
    assert [len(row.split()) for row in epochs[:3]] == [7, 5, 0]
    assert "Label 1 means REAL in this model's training data." in printed
    checkpoint = Checkpoint.load(out)
    assert checkpoint.metadata.recipe["name"] == "cifake"
    assert (checkpoint.metadata.recipe["init"], checkpoint.metadata.recipe["seed"]) == ("none", 7)
    assert checkpoint.metadata.data["training"]["pictures"] == 31
    assert checkpoint.metadata.data["dropped_contradictions"] == 2
    assert checkpoint.metadata.metrics["validation"]["pictures"] == 8
    assert checkpoint.metadata.calibration == Calibration()
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
    printed, errors = capsys.readouterr()
    assert re.search(rf"\naccuracy +{metrics['accuracy']:.0%} ", printed)
    assert errors == ""  # no bar where there is no terminal
    assert not re.search(r"\d\.\d{7}", printed)

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

    capsys.readouterr()
    assert cli.main(["submission", "--team", "x"]) == 1
    error = capsys.readouterr().err
    assert "they are P(REAL), and the run's label 1 means FAKE. Run `python -m training infer" in error
    assert f"--team x --positive FAKE --model {out} --out outputs`, or insist with --force" in error
    assert not Path("outputs/x_submission.zip").exists()
    with monkeypatch.context() as patch:  # its README is all that is read
        patch.setattr("training.submission.package.render", lambda draw: b"")
        patch.setattr("training.submission.slides.presentation.presentation", lambda *_: Presentation())
        assert cli.main(["submission", "--team", "x", "--force"]) == 0
    with zipfile.ZipFile("outputs/x_submission.zip") as archive:
        readme = archive.read("README.md").decode()
    assert "Packed with --force, although the predictions do not fit the run" in " ".join(readme.split())

    assert cli.main([*infer, "--positive", "FAKE"]) == 0
    assert cli.main(["submission", "--team", "x"]) == 0
    with zipfile.ZipFile("outputs/x_submission.zip") as archive:
        assert "x_presentation.pptx" in archive.namelist()
        readme = archive.read("README.md").decode()
    assert "--force" not in readme
    assert "0 of the 8 validation pictures stand in the initial weights' training data." in readme
    assert cli.main(["plots", "runs/hackathon"]) == 0
    assert "reliability.png" in capsys.readouterr().out


def test_unreadable_test_pictures_are_left_out_or_given_a_prediction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "out"
    folder.mkdir()
    (folder / "1.png").write_bytes(encode(noise(1)))
    (folder / "2.png").write_bytes(b"not a picture")
    infer = ["infer", str(folder), "--team", "x", "--out", str(out), "--device", "cpu", "--positive", "FAKE"]
    summary = tmp_path / "summary.json"
    for missing, names in (([], ["1.png"]), (["--missing", "0.7"], ["1.png", "2.png"])):
        assert cli.main([*infer, *missing, "--json", str(summary)]) == 0
        report = json.loads(summary.read_text())
        assert (report["pictures"], report["missing"]) == (len(names), len(missing) // 2)
        assert [one["file"] for one in report["unreadable"]] == ["2.png"]
        rows = json.loads((out / "x_prediction.json").read_text())
        assert [row["image_id"] for row in rows] == names
        warning = "warning: 1 unreadable pictures have the prediction 0.7" in capsys.readouterr().err
        assert warning is bool(missing)
    assert rows[1]["prediction"] == 0.7
    origin = read_origin(out / "x_prediction.json", (out / "x_prediction.json").read_bytes())
    assert origin is not None
    assert (origin.missing, origin.positive_class) == (1, "FAKE")


def test_what_label_1_means_in_a_bare_state_dict_is_assumed_until_it_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bare, tree = tmp_path / "bare.pth", hackathon_tree(tmp_path / "data", 3, test=1)
    torch.save(build_network(Architecture("imagenet", "linear")).state_dict(), bare)
    out = ["--out", str(tmp_path / "out"), "--model", str(bare), "--device", "cpu"]
    assert cli.main(["audit", str(tree), *out]) == 0
    assert "REAL is assumed" in capsys.readouterr().out
    infer = ["infer", str(tree / "test_images"), "--team", "x", *out]
    answers = []
    for label_1, told in (([], "REAL is assumed"), (["--label-1", "FAKE"], "Label 1 means FAKE")):
        assert cli.main([*infer, *label_1]) == 0
        assert told in capsys.readouterr().out
        answers += json.loads((tmp_path / "out" / "x_prediction.json").read_text())
    assert answers[0]["prediction"] == pytest.approx(1 - answers[1]["prediction"], abs=2e-6)
    assert cli.main(["infer", str(tree / "test_images"), "--team", "x", "--label-1", "FAKE"]) == 1
    assert "has a record of what label 1 means, REAL: leave --label-1 out" in capsys.readouterr().err


def test_overrides_are_recorded_and_a_broken_run_is_not_overwritten(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_narrow_networks(monkeypatch)
    tree, out = cifake_tree(tmp_path / "cifake"), tmp_path / "run"
    train = ["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]
    out.mkdir()
    state = out / "cifake_model.resume"
    state.write_bytes(b"of an interrupted run")
    assert cli.main(train) == 1
    assert "is of an interrupted run: continue it with --resume, or delete it" in capsys.readouterr().err
    assert state.read_bytes() == b"of an interrupted run"
    state.unlink()
    overrides = ["--epochs", "2", "--batch-size", "4", "--lr", "0.01", "--seed", "3"]
    assert cli.main([*train, *overrides, "--precision", "bf16"]) == 0
    metadata = Checkpoint.load(out / "cifake_model.pth").metadata
    parts = original_split(metadata, load_train(tree, Preprocess()))  # as `quantise` does
    assert [len(part) for part in parts] == [32, 8]
    recipe = metadata.recipe
    assert (recipe["batch_size"], recipe["learning_rate"], recipe["seed"]) == (4, 0.01, 3)
    assert recipe["precision"] == "bf16"
    assert [list(cycle) for cycle in recipe["lr_cycles"]] == [[32, 32]]
    assert recipe["overrides"] == {"epochs": 2, "batch_size": 4, "learning_rate": 0.01, "seed": 3}
    told = "recipe cifake, but batch size 4, learning rate 0.01, seed 3, epochs 2"
    assert told in capsys.readouterr().out
    assert json.loads((out / "metrics.json").read_text())["recipe"]["overrides"] == recipe["overrides"]
    assert not state.exists()


def test_recipes(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["recipes"]) == 0
    header, *rows = capsys.readouterr().out.splitlines()
    assert header.startswith("recipe ")
    assert [row.split()[0] for row in rows] == list(RECIPES)


def test_predict_answers_files_and_folders(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder, report = tmp_path / "pictures", tmp_path / "report.json"
    (folder / "below").mkdir(parents=True)
    (folder / "small.png").write_bytes(encode(noise(1)))
    (folder / "below" / "large.jpg").write_bytes(encode(noise(2, 80, 60), "JPEG"))
    (folder / "cut.png").write_bytes(encode(noise(3))[:50])
    single = folder / "small.png"
    assert cli.main(["predict", str(single)]) == 0
    assert "\nall: 1 picture; " in capsys.readouterr().out
    options = ["--json", str(report), "--precision", "f32", "--device", "cpu"]
    assert cli.main(["predict", str(folder), str(single), str(tmp_path / "nowhere.png"), *options]) == 0
    printed, errors = capsys.readouterr()
    assert errors == ""
    table, summary = printed.split("\n\n")[1:]
    assert [row.split()[0] for row in table.splitlines()] == [
        "file",
        "cut.png",
        "small.png",
        "below/large.jpg",
        "small.png",
        "nowhere.png",
    ]
    below, total = summary.splitlines()
    assert below.startswith(f"{folder}: 2 pictures and 1 unreadable file; ")
    assert total.startswith("all: 3 pictures and 2 unreadable files; ")
    assert ", 1 out of it by size, " in total

    written = json.loads(report.read_text())
    assert written["engine"] == "OpenVINO f32 on cpu"
    assert [Path(row["file"]).name for row in written["files"] if "unreadable" in row] == [
        "cut.png",
        "nowhere.png",
    ]
    assert [row["out_of_domain_reason"] for row in written["files"] if row.get("width") == 80] == ["size"]
    [of_folder] = written["folders"]
    assert (of_folder["folder"], of_folder["pictures"], of_folder["unreadable"]) == (str(folder), 2, 1)
    assert (written["all"]["pictures"], written["all"]["unreadable"]) == (3, 2)


@pytest.mark.parametrize("arguments", [["nowhere.png"], ["empty"], ["nowhere.png", "empty", "pipe.png"]])
def test_predict_fails_where_nothing_can_be_read(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    os.mkfifo("pipe.png")
    assert cli.main(["predict", *arguments, "--json", "report.json"]) == 1
    printed, errors = capsys.readouterr()
    unreadable = len([name for name in arguments if name != "empty"])
    assert printed.count("  unreadable: ") == unreadable
    assert errors == "error: no picture could be read: give pictures, or folders of them\n"
    assert json.loads((tmp_path / "report.json").read_text())["all"]["unreadable"] == unreadable


def test_quantise_measures_on_the_validation_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], random_checkpoint: Checkpoint
) -> None:
    tree = cifake_tree(tmp_path / "cifake")
    out, new = tmp_path / "cifake_model.pth", tmp_path / "new.pth"
    recipe = {"validation_fraction": 0.2, "seed": 7}
    _, held = train_val_split(load_train(tree, Preprocess()).pictures, *recipe.values())
    data = {"validation": {"pictures": len(held), "sha256": held.digest()}}
    random_checkpoint.with_metadata(recipe=recipe, data=data).save(out)
    before = out.read_bytes()
    quantise = ["quantise", "--model", str(out), "--out", str(new)]
    assert cli.main([*quantise, "--data", str(tree)]) == 0
    printed = capsys.readouterr().out
    assert [row.split()[:2] for row in printed.splitlines() if row.startswith(("bf16", "int8"))] == [
        ["bf16", "8"],
        ["int8", "8"],
    ]
    assert "`auto` takes it" in printed
    assert "━" not in printed  # NNCF's bars
    assert out.read_bytes() == before
    assert Checkpoint.load(new).metadata.int8
    (tree / "train" / "REAL" / "0.png").unlink()
    assert cli.main([*quantise, "--data", str(tree)]) == 1
    assert "was validated with other pictures" in capsys.readouterr().err


def test_a_diverging_run_is_an_error(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_narrow_networks(monkeypatch)
    monkeypatch.setitem(RECIPES, "cifake", replace(RECIPES["cifake"], learning_rate=1e30, warmup=0.0))
    tree, out = cifake_tree(tmp_path / "cifake"), tmp_path / "run" / "x.pth"
    assert cli.main(["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]) == 1
    assert "is not finite; nothing of this epoch was saved" in capsys.readouterr().err
    assert not out.parent.exists()


def test_audit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hackathon_tree(tmp_path / "data", 8)
    out, report = tmp_path / "out", tmp_path / "audit.json"
    arguments = ["audit", str(tmp_path / "data"), "--out", str(out), "--device", "cpu", "--json", str(report)]
    assert cli.main(arguments) == 0
    printed = capsys.readouterr().out
    written = json.loads(report.read_text())
    assert (written["pictures"], written["data"]["kind"]) == (16, "hackathon tree")
    assert f"agrees with {written['agreement']:.1%}" in printed
    rows = [line.split() for line in printed.splitlines() if line.startswith(("REAL ", "FAKE "))]
    assert [int(row[1]) for row in rows] == [8, 8]
    assert all(int(row[1]) == int(row[2]) + int(row[3]) for row in rows)
    assert "16 pictures. The labels look" in printed
    rows = [line.split(",") for line in (out / "audit.csv").read_text().splitlines()[1:]]
    assert len(rows) == 16
    probabilities = [float(row[2]) for row in rows]
    assert probabilities == sorted(probabilities, reverse=True)
    assert (out / "audit.png").is_file()


def test_cross_validation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    build_narrow_networks(monkeypatch)
    shipped = tmp_path / "shipped.pth"
    random_network(Architecture()).save(shipped)
    write_fingerprints(shipped, Checkpoint.load(shipped).metadata.digest, np.empty(0, np.uint64))
    monkeypatch.setattr("training.fitting.initial_weights.SHIPPED", shipped)
    hackathon_tree(tmp_path / "data")
    out = tmp_path / "cv"
    arguments = ["--data", str(tmp_path / "data"), "--folds", "2", "--out", str(out), "--device", "cpu"]
    assert cli.main(["crossvalidate", "--recipe", "hackathon", *arguments]) == 0
    report = json.loads((out / "metrics.json").read_text())
    assert (report["folds"], report["validation"]["pictures"]) == (2, 40)
    assert report["validation_overlap"]["count"] == 0
    assert report["recipe"]["overrides"] == {}
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


def test_explain_writes_a_heat_map_of_each_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, out = tmp_path / "pictures", tmp_path / "maps"
    (folder / "below").mkdir(parents=True)
    (folder / "a.png").write_bytes(encode(noise(1)))
    (folder / "below" / "A.jpg").write_bytes(encode(noise(2, 80, 60), "JPEG"))
    (folder / "cut.png").write_bytes(encode(noise(3))[:50])
    assert cli.main(["explain", str(folder), "--out", str(out), "--size", "128", "--device", "cpu"]) == 0
    printed, errors = capsys.readouterr()
    assert sorted(path.name for path in out.iterdir()) == ["A-2_gradcam.png", "a_gradcam.png"]
    assert printed.endswith(f"2 heat maps written to {out}\n")
    assert errors.startswith(f"skipped: {folder / 'cut.png'}: ")
    assert cli.main(["explain", str(folder / "cut.png"), "--out", str(out)]) == 1
    assert capsys.readouterr().err.endswith(
        "error: no picture could be read: give pictures, or folders of them\n"
    )


def test_split_ours(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    tree, report = cifake_tree(tmp_path / "cifake"), tmp_path / "report.json"
    evaluate = ["evaluate", "--data", str(tree), "--device", "cpu", "--json", str(report), "--split", "ours"]
    assert cli.main(evaluate) == 1
    assert "none of the 8 pictures is in the project's half" in capsys.readouterr().err
    pictures = load_test(tree, Preprocess()).pictures
    ours = pictures.select(np.array([0, 3, 4, 5, 7]))
    known = tmp_path / "known.fingerprints"
    write_fingerprints(known, published_test.SHA256, fingerprints(ours.images))
    monkeypatch.setattr(published_test, "OURS", known)
    assert cli.main(evaluate) == 0
    assert "--split ours: 5 of the 8 pictures are used, not exactly those of" in capsys.readouterr().out
    data = json.loads(report.read_text())["data"]
    assert (data["split"], data["found"], data["sha256"]) == ("ours", 8, ours.digest())
