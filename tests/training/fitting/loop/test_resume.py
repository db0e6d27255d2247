from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.networks import needs_timm
from tests.training.fitting.loop.recipes import OBJECTS, ONE_STEM, RECIPE, TAUGHT, Checkerboards, killed, same
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.loop import ResumeError, train


def test_a_resumed_run_equals_an_uninterrupted_one(
    uninterrupted: loop.TrainingResult,
    data: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(RECIPE, *data, tmp_path / "state", device="cpu")
    resumed = train(RECIPE, *data, tmp_path / "state", resume=True, device="cpu")
    assert all(torch.equal(resumed.weights[name], tensor) for name, tensor in uninterrupted.weights.items())
    timeless = [[replace(row, seconds=0) for row in run.history] for run in (resumed, uninterrupted)]
    assert timeless[0] == timeless[1]


def test_resume_needs_a_state(data: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="nothing to resume"):
        train(RECIPE, *data, tmp_path / "state", resume=True)


@pytest.mark.parametrize(
    "setting",
    ["recipe", "training data", "validation data", "image order", "initial weights", "teacher", "device"],
)
def test_resume_refuses_the_state_of_another_run(
    setting: str, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(ONE_STEM, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    training, validation = data
    first: dict[str, Tensor] | None = None
    teacher: nn.Module | None = None
    if setting == "recipe":
        short = replace(short, seed=1)
    elif setting == "training data":
        training = training.select(np.arange(60))
    elif setting == "validation data":
        validation = validation.select(np.arange(15))
    elif setting == "image order":
        training = training.select(np.arange(64)[::-1])
    elif setting == "initial weights":
        first = {"fc.bias": torch.ones(1)}
    elif setting == "teacher":
        teacher = Checkerboards()
    else:
        state = torch.load(tmp_path / "state")
        state["settings"]["device"] = "cuda"
        torch.save(state, tmp_path / "state")
    with pytest.raises(ResumeError, match=f"another {setting}"):
        arguments = (short, training, validation, tmp_path / "state", first, True, "cpu", "auto", teacher)
        train(*arguments)


@needs_timm
def test_resume_refuses_the_state_of_another_backbone(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(ONE_STEM, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    with pytest.raises(ResumeError, match="was made with another recipe"):
        other = short.override(backbone="mobilenetv3_small")
        train(other, *data, tmp_path / "state", resume=True, device="cpu")


def test_resume_does_not_depend_on_file_names(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(ONE_STEM, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    training, validation = (replace(part, names=[f"{name}.png" for name in part.names]) for part in data)
    train(short, training, validation, tmp_path / "state", resume=True, device="cpu")


@pytest.mark.parametrize("missing", ["version", "settings"])
def test_resume_refuses_a_state_of_another_version(
    missing: str, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(ONE_STEM, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state", weights_only=True)
    del state[missing]
    torch.save(state, tmp_path / "state")
    with pytest.raises(ResumeError, match="made by another version"):
        train(short, *data, tmp_path / "state", resume=True, device="cpu")


def test_a_resumed_run_with_a_teacher_equals_an_uninterrupted_one(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TAUGHT, *data, tmp_path / "whole", device="cpu", teacher=Checkerboards())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(TAUGHT, *data, tmp_path / "state", device="cpu", teacher=Checkerboards())
    resumed = train(TAUGHT, *data, tmp_path / "state", resume=True, device="cpu", teacher=Checkerboards())
    assert same(resumed, whole)


def test_a_resumed_run_that_learns_objects_equals_an_uninterrupted_one(
    objects: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(OBJECTS, *objects, tmp_path / "whole", device="cpu")
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(OBJECTS, *objects, tmp_path / "state", device="cpu")
    training, validation = objects
    others = replace(training, names=[*training.names[1:], training.names[0]])
    with pytest.raises(ResumeError, match="another object classes"):
        train(OBJECTS, others, validation, tmp_path / "state", resume=True, device="cpu")
    assert same(train(OBJECTS, *objects, tmp_path / "state", resume=True, device="cpu"), whole)
