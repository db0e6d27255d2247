from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from model.images.preprocess import Preprocess
from model.network import build_network
from tests.networks import build_narrow_networks, needs_timm
from tests.stand_in_device import StandInDevice, StandInTensor
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.augmentation import NO_AUGMENTATION
from training.fitting.finite import NotFiniteError
from training.fitting.history import Epoch
from training.fitting.kernel_rounding import round_kernels
from training.fitting.loop import ResumeError, train
from training.fitting.precision import PrecisionChoice
from training.fitting.recipes import RECIPES

RECIPE = replace(
    RECIPES["cifake"],
    preprocess=Preprocess(16),
    lr_cycles=((8, 16), (16, 16, 16)),
    prune_ratio=0.5,
    distill_weight=(0.0, 0.2),
    qat_epochs=2,
    batch_size=8,
    learning_rate=0.1,
    ema_decay=0.5,
)


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        build_narrow_networks(patch)
        yield


@pytest.fixture(scope="module")
def data() -> tuple[LabelledImages, LabelledImages]:
    """Training and validation images: noise, with a checkerboard for label 1, learnt within a few steps."""
    random = np.random.default_rng(0)
    images = random.integers(90, 166, (80, 16, 16, 3), dtype=np.uint8)
    labels = (np.arange(80) % 2).astype(np.uint8)
    checks = (np.indices((16, 16)).sum(0) % 2 * 80).astype(np.uint8)
    images[labels == 1] += checks[..., None]
    everything = LabelledImages(images, labels, [str(i) for i in range(80)], [])
    return everything.select(np.arange(64)), everything.select(np.arange(64, 80))


class Checkerboards(nn.Module):
    """A teacher that knows them, and is sure; what it says of other images has another sign."""

    def __init__(self, gain: float = 20.0) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.tensor(gain))

    def forward(self, images: Tensor) -> Tensor:
        steps = (images[..., 1:] - images[..., :-1]).abs().mean((1, 2, 3))
        return ((steps - 0.45) * self.gain)[:, None]


@pytest.fixture(scope="module")
def uninterrupted(
    data: tuple[LabelledImages, LabelledImages], tmp_path_factory: pytest.TempPathFactory
) -> loop.TrainingResult:
    return train(RECIPE, *data, tmp_path_factory.mktemp("run") / "state", device="cpu")


def test_training_learns(uninterrupted: loop.TrainingResult) -> None:
    assert [row.crop_size for row in uninterrupted.history] == [8, 16, 16, 16, 16]
    assert uninterrupted.history[-1].train_accuracy > uninterrupted.history[0].train_accuracy
    assert uninterrupted.best.validation_accuracy > 0.9
    assert uninterrupted.best.validation_loss == min(row.validation_loss for row in uninterrupted.history[2:])


def test_the_best_epoch_is_of_the_last_cycle(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    """Even if an earlier cycle has a lower validation loss."""
    worse = replace(RECIPE, lr_cycles=((16, 16), (8,)), peak_lr_scales=(1.0, 20.0), ema_decay=0.0)
    trained = train(worse, *data, tmp_path / "state", device="cpu")
    assert trained.best == trained.history[-1]
    assert trained.best.validation_loss > min(row.validation_loss for row in trained.history)


def test_the_kernels_of_the_last_epochs_are_rounded(
    uninterrupted: loop.TrainingResult, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    """Where one of these epochs is the best one."""
    assert uninterrupted.best.epoch > RECIPE.epochs - 2
    assert are_rounded(uninterrupted.weights)
    plain = train(replace(RECIPE, qat_epochs=0), *data, tmp_path / "state", device="cpu")
    assert not are_rounded(plain.weights)
    assert plain.history[2].train_loss == uninterrupted.history[2].train_loss
    assert plain.history[3].train_loss != uninterrupted.history[3].train_loss


def are_rounded(weights: dict[str, Tensor]) -> bool:
    kernels = [tensor for tensor in weights.values() if tensor.ndim == 4]
    return all(torch.allclose(round_kernels(kernel), kernel) for kernel in kernels)


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
    short = replace(RECIPE, lr_cycles=((8,),))
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
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    with pytest.raises(ResumeError, match="was made with another recipe"):
        other = short.override(backbone="mobilenetv3_small")
        train(other, *data, tmp_path / "state", resume=True, device="cpu")


def test_resume_does_not_depend_on_file_names(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    training, validation = (replace(part, names=[f"{name}.png" for name in part.names]) for part in data)
    train(short, training, validation, tmp_path / "state", resume=True, device="cpu")


@pytest.mark.parametrize("missing", ["version", "settings"])
def test_resume_refuses_a_state_of_another_version(
    missing: str, data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *data, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state", weights_only=True)
    del state[missing]
    torch.save(state, tmp_path / "state")
    with pytest.raises(ResumeError, match="made by another version"):
        train(short, *data, tmp_path / "state", resume=True, device="cpu")


def test_training_starts_from_the_initial_weights(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    first = build_network(RECIPE.architecture).state_dict()
    still = replace(RECIPE, lr_cycles=((8,),), learning_rate=0.0, qat_epochs=0)
    trained = train(still, *data, tmp_path / "state", first, device="cpu")
    assert torch.equal(trained.weights["conv1.weight"], first["conv1.weight"])


@pytest.mark.parametrize(("lr_cycles", "epochs"), [(((8,) * 5,), 3), (((8,),) * 5, 5)])
def test_early_stopping_counts_epochs_of_one_cycle(
    lr_cycles: tuple[tuple[int, ...], ...],
    epochs: int,
    data: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
) -> None:
    """On validation labels that contradict the training labels, so that the loss rises with each epoch."""
    training, validation = data
    contradicting = replace(validation, labels=1 - validation.labels)
    recipe = replace(RECIPE, lr_cycles=lr_cycles, learning_rate=0.05, patience=2, ema_decay=0.0)
    assert len(train(recipe, training, contradicting, tmp_path / "state", device="cpu").history) == epochs


def killed(row: Epoch) -> str:
    """Replaces `loop.describe`, which is called after the state of an epoch is saved."""
    raise KeyboardInterrupt


def same(one: loop.TrainingResult, other: loop.TrainingResult) -> bool:
    return all(torch.equal(one.weights[name], tensor) for name, tensor in other.weights.items())


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
    short = replace(RECIPE, lr_cycles=((8,), (16,)), balance=True)
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
    recipe = replace(RECIPE, lr_cycles=((8, 8, 8),))
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
    recipe = replace(RECIPE, lr_cycles=((8, 8, 8, 8),))
    trained = train(recipe, *data, tmp_path / "state", device="cpu", precision="bf16")
    assert all(tensor.isfinite().all() for tensor in trained.weights.values())


TAUGHT = replace(RECIPE, lr_cycles=((8, 16, 16, 16),), distill_weight=(1.0,), prune_ratio=0.0)


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


def test_a_resumed_run_with_a_teacher_equals_an_uninterrupted_one(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = train(TAUGHT, *data, tmp_path / "whole", device="cpu", teacher=Checkerboards())
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(TAUGHT, *data, tmp_path / "state", device="cpu", teacher=Checkerboards())
    resumed = train(TAUGHT, *data, tmp_path / "state", resume=True, device="cpu", teacher=Checkerboards())
    assert same(resumed, whole)


def test_a_first_cycle_without_a_teacher_learns_labels_alone(
    data: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="distill_weight must be 0 for the first cycle"):
        train(TAUGHT, *data, tmp_path / "state", device="cpu")


OBJECTS = replace(RECIPE, object_weight=(0.0, 1.0))


@pytest.fixture(scope="module")
def objects(data: tuple[LabelledImages, LabelledImages]) -> tuple[LabelledImages, LabelledImages]:
    """The same, with a square at one of ten places, which the names tell as CIFAKE's do."""
    training, validation = data
    images, places = training.images.copy(), np.arange(64) // 2 % 10
    for image, place in zip(images, places, strict=True):
        row, column = 4 * (place // 4) + 2, 4 * (place % 4)
        image[row : row + 4, column : column + 4] = (250, 0, 0)
    names = [f"{i} ({place + 1}).jpg" if place else f"{i}.jpg" for i, place in enumerate(places)]
    return replace(training, images=images, names=names), validation


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
