"""Arguments and error messages of the command line."""

import argparse
import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from model import ROOT, SHIPPED
from model.architecture import BACKBONES, Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from tests.trees import hackathon_tree
from training import cli
from training.arguments.parser import create_parser
from training.fitting.precision import PrecisionOption
from training.fitting.recipe_names import RECIPE_NAMES
from training.fitting.recipes import RECIPES


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "--data", "nowhere", "--out", "x.pth"], "there is no folder nowhere"),
        (["train", "--data", "nowhere", "--out", "."], "there is no folder nowhere"),
        (["train", "--data", "nowhere", "--out", "run", "--lr", "nan"], "learning_rate must be a number"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--resume"], "nothing to resume: there is no file"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--init", "nowhere.pth"], "there is no file"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--device", "abacus"], "abacus"),
        (["train", "--data", "x", "--out", "x.pth", "--backbone", "resnet50"], "resnet50 is built by timm"),
        (
            ["crossvalidate", "--data", "x", "--out", ".", "--backbone", "vit_tiny"],
            "vit_tiny is built by timm",
        ),
        (["merge", "nowhere"], "has no real_cifake_images/"),
        (["infer", "nowhere", "--team", "x"], "there is no folder nowhere"),
        (["infer", ".", "--team", "../x"], "a team's name is"),
        (["predict", "nowhere"], "no picture could be read"),
        (["predict", ".", "--model", "nowhere.pth"], "there is no file"),
        (["audit", "nowhere"], "there is no folder nowhere"),
        (["explain", "nowhere", "--out", "maps"], "no picture could be read"),
        (["plots", "nowhere"], "not a run folder"),
        (["submission", "--team", "x"], "data/hackathon has no real_cifake_images/"),
        (
            ["train", "--data", "x", "--out", "x.pth", "--device", "meta", "--precision", "bf16"],
            "no autocast",
        ),
        (["quantise", "--data", "nowhere", "--out", "x.pth"], "there is no folder nowhere"),
        (["export", str(SHIPPED)], "OUT is the checkpoint that is read"),
        (["export", "x.onnx", "--model", "nowhere.pth"], "there is no file"),
        (["quantise", "--data", "nowhere", "--out", str(SHIPPED)], "--out is the same file as --model"),
        (["evaluate", "--data", "nowhere"], "there is no folder nowhere"),
        (["evaluate", "--data", "nowhere", "--model", "nowhere.pth"], "there is no file"),
    ],
)
def test_error_messages(
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "timm", None)  # as if it were not installed
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    told = error.splitlines()[-1]
    assert told.startswith("error: ")
    assert message in told
    assert list(tmp_path.iterdir()) == []


WRITTEN, READ = {"out", "json", "plot"}, {"data", "model", "images", "other", "folder"}
COMMANDS: dict[str, argparse.ArgumentParser] = next(
    action.choices for action in create_parser()._actions if isinstance(action, argparse._SubParsersAction)
)


def test_paths_are_either_read_or_written() -> None:
    for command in COMMANDS.values():
        assert {action.dest for action in command._actions if action.type is Path} <= WRITTEN | READ


@pytest.mark.parametrize(
    ("name", "option"),
    [
        (name, action.option_strings[0] if action.option_strings else None)
        for name, command in COMMANDS.items()
        for action in command._actions
        if action.dest in WRITTEN
    ],
)
def test_unwritable_outputs_are_an_error_before_data_is_loaded(
    name: str,
    option: str | None,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").touch()
    arguments = [name, option, "file/x"] if option else [name]
    for action in COMMANDS[name]._actions:
        if not action.option_strings:
            arguments.append("nowhere" if action.dest in READ else "file/x")
        elif action.required and action.option_strings[0] != option:
            arguments += [action.option_strings[0], "nowhere"]
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert "file" in error
    assert "nowhere" not in error
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    ("change", "option", "message"),
    [
        ({}, "--ood", "has no OOD detector"),
        ({"preprocess": Preprocess(40)}, "--robustness", "multiples of 16"),
    ],
)
def test_unsuitable_checkpoints_are_an_error_before_data_is_loaded(
    change: dict,
    option: str,
    message: str,
    random_checkpoint: Checkpoint,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    random_checkpoint.with_metadata(**change).save(tmp_path / "x.pth")
    arguments = ["--data", "nowhere", "--model", str(tmp_path / "x.pth"), "--engine", "torch"]
    assert cli.main(["evaluate", *arguments, option]) == 1
    assert message in capsys.readouterr().err
    assert cli.main(["evaluate", *arguments]) == 1
    assert "there is no folder nowhere" in capsys.readouterr().err


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("started", [True, False])
def test_ctrl_c(
    started: bool,
    name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def interrupt(args: argparse.Namespace) -> None:
        raise KeyboardInterrupt

    monkeypatch.chdir(tmp_path)
    if started:
        (tmp_path / "x.resume").touch()
    monkeypatch.setattr(cli, "load_command", lambda name: interrupt)
    arguments = [name]
    for action in COMMANDS[name]._actions:
        if not action.option_strings:
            arguments.append("x")
        elif action.required:
            arguments += [action.option_strings[0], "x.pth"]
    assert cli.main(arguments) == 130
    hint = "; train --resume continues after the last complete epoch" if started and name == "train" else ""
    assert capsys.readouterr().err == f"stopped{hint}\n"


def test_there_is_a_function_for_each_command() -> None:
    assert cli.MODULES.keys() == COMMANDS.keys()
    assert all(callable(cli.load_command(name)) for name in COMMANDS)


def test_recipes_are_those_of_the_recipes_module() -> None:
    assert list(RECIPE_NAMES) == list(RECIPES)
    for name in ("train", "crossvalidate"):
        text = COMMANDS[name].format_help()
        assert all(f"{recipe} " in text and summary in text for recipe, summary in RECIPE_NAMES.items())


def test_precisions_are_those_of_the_precision_module() -> None:
    [choices] = [action.choices for action in COMMANDS["train"]._actions if action.dest == "precision"]
    assert tuple(choices or ()) == get_args(PrecisionOption)


@pytest.mark.parametrize("command", COMMANDS.values(), ids=COMMANDS)
def test_each_option_is_explained_with_its_default(command: argparse.ArgumentParser) -> None:
    for action in command._actions:
        if action.dest == "help":
            continue
        assert action.help, action.dest
        if not action.option_strings:
            continue
        if action.nargs != 0 and not action.required:
            assert "default: " in action.help, action.dest


HEAVY = ("torch", "torchvision", "matplotlib", "sklearn", "scipy", "pptx", "openvino", "rich", "tqdm", "timm")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["train", "--help"], ["merge", "{tree}"], ["merge", "nowhere"]]
)
def test_what_needs_no_heavy_library_imports_none(arguments: list[str], tmp_path: Path) -> None:
    tree = hackathon_tree(tmp_path / "tree", 2)
    program = f"""
import sys
from training import cli
try:
    cli.main({[one.format(tree=tree) for one in arguments]!r})
except SystemExit:
    pass
print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stderr.splitlines()[-1] == "[]"


def test_an_unknown_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "--data", "x", "--out", "x", "--backbone", "vgg16"])
    told = capsys.readouterr().err.splitlines()[-1]
    assert "argument --backbone: invalid choice: 'vgg16'" in told
    assert all(name in told for name in BACKBONES)


def test_int8_of_another_backbone_is_an_error_before_data_is_loaded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    metadata = CheckpointMetadata(Architecture().with_backbone("resnet50"), Preprocess())
    Checkpoint(metadata, {"head.1.bias": np.zeros(1, np.float32)}).save(tmp_path / "x.pth")
    arguments = ["--data", "nowhere", "--model", str(tmp_path / "x.pth"), "--out", str(tmp_path / "y.pth")]
    assert cli.main(["quantise", *arguments]) == 1
    told = "int8 is for resnet18 only, and this checkpoint's backbone is resnet50: use f32"
    assert told in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["crossvalidate", "--data", "x", "--out", "x", "--folds", "1"],
        ["crossvalidate", "--data", "x", "--out", "x", "--sample", "0"],
        ["audit", "x", "--show", "-5"],
        ["audit", "x", "--show", "some"],
        ["explain", "x", "--out", "x", "--size", "127"],
        ["explain", "x", "--out", "x", "--size", "2049"],
        ["train", "--data", "x", "--out", "x", "--seed", "4294967296"],
        ["train", "--data", "x", "--out", "x", "--epochs", "9" * 5000],
    ],
)
def test_numbers_out_of_range(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(arguments)
    assert "is not an integer of at least" in capsys.readouterr().err
