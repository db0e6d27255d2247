from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tests.stand_in_device import StandInDevice, StandInTensor
from tests.training.fitting.loop.recipes import ONE_STEM, RECIPE, TAUGHT, Checkerboards, killed, same
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.finite import NotFiniteError
from training.fitting.loop import ResumeError, train
from training.fitting.precision import PrecisionChoice


def test_training_learns_in_bf16(
    uninterrupted: loop.TrainingResult, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    trained = train(RECIPE, *data, tmp_path / "state", device="cpu", precision="bf16")
    assert trained.best.validation_accuracy > 0.9
    assert trained.precision == PrecisionChoice("bf16", {})
    assert not same(trained, uninterrupted)


def test_measuring_the_precision_does_not_change_the_result(
    uninterrupted: loop.TrainingResult,
    data: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A resumed run keeps its precision and does not measure again."""
    measured: list[dict[str, float]] = []
    measure = loop.step_times

    def f32_first(*arguments: object) -> dict[str, float]:
        measured.append(measure(*arguments))  # type: ignore[arg-type]
        return {"f32": 1.0 * len(measured), "bf16": 1.5}  # a second measurement would choose bf16

    monkeypatch.setattr("training.fitting.precision.has_autocast", lambda device: True)
    monkeypatch.setattr(loop, "step_times", f32_first)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(RECIPE, *data, tmp_path / "state", device="cpu")
    with pytest.raises(ResumeError, match="was made in f32, not in bf16"):
        train(RECIPE, *data, tmp_path / "state", resume=True, device="cpu", precision="bf16")
    resumed = train(RECIPE, *data, tmp_path / "state", resume=True, device="cpu")
    assert resumed.precision == PrecisionChoice("f32", {"f32": 1.0, "bf16": 1.5})
    assert same(resumed, uninterrupted)
    assert len(measured) == 1


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_device_without_float64(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as MPS. The run is interrupted and resumed."""
    short = replace(ONE_STEM, lr_cycles=((8,), (16,)), balance=True)
    data = data[0].select(np.arange(24)), data[1]  # each operation is slow there
    here = train(short, *data, tmp_path / "here", device="cpu")
    with StandInDevice():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "describe", killed)
            train(short, *data, tmp_path / "there", device="meta")
        there = train(short, *data, tmp_path / "there", resume=True, device="meta")
    assert len(there.history) == 2
    assert there.weights.keys() == here.weights.keys()
    for name, tensor in here.weights.items():
        torch.testing.assert_close(there.weights[name], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("kind", ["training loss", "gradient", "weight", "validation loss"])
def test_an_epoch_with_values_that_are_not_finite_is_not_saved(
    kind: str,
    data: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The value appears in the last step of the second epoch, and in no other loss."""
    recipe = replace(ONE_STEM, lr_cycles=((8, 8, 8),))
    last = 64 // recipe.batch_size * 2
    steps = iter(range(1, last + 1))
    step_of = torch.optim.SGD.step
    compute = loop.head

    def faulty_step(optimizer: torch.optim.SGD) -> None:
        step_of(optimizer)
        if next(steps) == last and kind == "weight":
            with torch.no_grad():
                optimizer.param_groups[0]["params"][0][0, 0, 0, 0] = torch.nan

    computed = iter(range(1, 2 * last))

    def faulty_logits(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        z = compute(network, batch)
        if network.training and next(computed) == last:
            if kind == "training loss":
                return z * torch.nan
            if kind == "gradient":
                z.register_hook(lambda gradient: gradient * torch.nan)
        return z

    monkeypatch.setattr(torch.optim.SGD, "step", faulty_step)
    monkeypatch.setattr(loop, "head", faulty_logits)
    validation_logits = iter([0.5, float("nan") if kind == "validation loss" else 0.5])
    if kind in ("validation loss", "weight"):
        monkeypatch.setattr(
            loop, "predict_logits", lambda *arguments: torch.full((16,), next(validation_logits))
        )
    with pytest.raises(NotFiniteError, match=f"in epoch 2 a {kind} is not finite"):
        train(recipe, *data, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state", weights_only=True)
    assert [row["epoch"] for row in state["history"]] == [1]
    assert all(
        tensor.isfinite().all() for part in ("networks", "best_weights") for tensor in state[part].values()
    )


def test_bf16_on_1x1_maps(data: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    """The last stage's feature maps of crops of 8 pixels; many steps, so that freed memory is reused."""
    recipe = replace(ONE_STEM, lr_cycles=((8, 8, 8, 8),))
    trained = train(recipe, *data, tmp_path / "state", device="cpu", precision="bf16")
    assert all(tensor.isfinite().all() for tensor in trained.weights.values())


class Waits(TorchDispatchMode):
    """Counts how often something waits for the stand-in device."""

    count = 0

    def __torch_dispatch__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(args[0] if args else None, StandInTensor):
            name = function.__name__.split(".")[0]
            to_cpu = name == "_to_copy" and torch.device(kwargs.get("device") or "meta").type == "cpu"
            masks = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
            self.count += to_cpu or masks or name in ("_local_scalar_dense", "nonzero", "masked_select")
        return function(*args, **kwargs)


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_steps_do_not_wait_for_the_device(
    objects: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    """Except for the first and the last one: an epoch of six steps waits as often as one of two."""
    pictures = objects[0].select(np.arange(24))
    counts = []
    for batch_size in (12, 4):
        recipe = replace(TAUGHT, lr_cycles=((8,),), batch_size=batch_size, object_weight=(1.0,))
        with StandInDevice(), Waits() as waits:
            train(recipe, pictures, pictures, tmp_path / "state", device="meta", teacher=Checkerboards())
        counts.append(waits.count)
    assert counts[0] == counts[1] > 0
