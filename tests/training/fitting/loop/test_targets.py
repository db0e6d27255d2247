from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.training.fitting.loop.recipes import OBJECTS, RECIPE, TAUGHT, Checkerboards, same
from training.data.labelled_images import LabelledImages
from training.fitting.augmentation import NO_AUGMENTATION
from training.fitting.loop import train


def test_a_teacher_is_learnt_from(data: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    """With a weight of 1, the labels do not matter."""
    training, validation = data
    swapped = replace(training, labels=1 - training.labels)
    teacher = Checkerboards()
    results = [
        train(TAUGHT, pictures, validation, tmp_path / "state", device="cpu", teacher=teacher)
        for pictures in (training, swapped)
    ]
    assert same(*results)
    right = [result.history[-1].train_accuracy for result in results]
    assert right[0] > 0.8 > 0.2 > right[1]


def test_a_teacher_and_labels_are_blended(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    recipes = [replace(TAUGHT, distill_weight=(weight,)) for weight in (0.0, 0.5, 1.0)]
    paths = [tmp_path / str(i) for i in range(3)]
    results = [
        train(recipe, *data, path, device="cpu", teacher=Checkerboards(-20.0))
        for recipe, path in zip(recipes, paths, strict=True)
    ]
    right = [result.history[-1].train_accuracy for result in results]
    assert right[0] > 0.8 > 0.2 > right[2]
    assert same(results[0], train(recipes[0], *data, tmp_path / "none", device="cpu"))
    assert not same(results[0], results[1])


def test_a_first_cycle_without_a_teacher_learns_labels_alone(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="distill_weight must be 0 for the first cycle"):
        train(TAUGHT, *data, tmp_path / "state", device="cpu")


def test_objects_are_learnt_in_the_cycles_that_have_a_weight(
    objects: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    losses: list[float] = []
    compute = torch.nn.functional.cross_entropy

    def spied(*arguments: Any, **named: Any) -> Tensor:
        result = compute(*arguments, **named)
        losses.append(float(result.detach().mean()))
        return result

    longer = replace(OBJECTS, lr_cycles=((16,), (16,) * 12), prune_ratio=0.0, augmentation=NO_AUGMENTATION)
    without = train(replace(longer, object_weight=(0.0,)), *objects, tmp_path / "without", device="cpu")
    with monkeypatch.context() as patch:
        patch.setattr(torch.nn.functional, "cross_entropy", spied)
        learnt = train(longer, *objects, tmp_path / "learnt", device="cpu")
    assert len(losses) == 12 * 8
    assert np.mean(losses[-8:]) < np.mean(losses[:8]) / 2
    assert learnt.weights.keys() == without.weights.keys()
    assert replace(learnt.history[0], seconds=0) == replace(without.history[0], seconds=0)
    assert not same(learnt, without)


def test_names_that_tell_nothing_leave_the_objects_out(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    results = [
        train(replace(RECIPE, object_weight=(weight,)), *data, tmp_path / str(weight), device="cpu")
        for weight in (0.0, 1.0)
    ]
    assert same(*results)
