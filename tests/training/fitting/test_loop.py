from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.images.preprocess import Preprocess
from model.network import build_network
from tests.elsewhere import Elsewhere
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.finite import NotFiniteError
from training.fitting.history import Epoch
from training.fitting.loop import ResumeError, train
from training.fitting.precision import Choice
from training.fitting.recipes import RECIPES

RECIPE = replace(
    RECIPES["cifake"],
    preprocess=Preprocess(16),
    lr_cycles=((8, 16), (16, 16, 16)),
    prune_ratio=0.5,
    distill_weight=(0.0, 0.2),
    batch_size=8,
    learning_rate=0.02,
    ema_decay=0.5,
)


@pytest.fixture(scope="module")
def pictures() -> tuple[LabelledImages, LabelledImages]:
    """Checked and plain pictures in noise: a texture that a network learns within a few steps."""
    random = np.random.default_rng(0)
    images = random.integers(90, 166, (80, 16, 16, 3), dtype=np.uint8)
    labels = (np.arange(80) % 2).astype(np.uint8)
    checks = (np.indices((16, 16)).sum(0) % 2 * 80).astype(np.uint8)
    images[labels == 1] += checks[..., None]
    everything = LabelledImages(images, labels, [str(i) for i in range(80)], [])
    return everything.select(np.arange(64)), everything.select(np.arange(64, 80))


@pytest.fixture(scope="module")
def unbroken(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path_factory: pytest.TempPathFactory
) -> loop.TrainingResult:
    return train(RECIPE, *pictures, tmp_path_factory.mktemp("run") / "state", device="cpu")


def test_it_learns(unbroken: loop.TrainingResult) -> None:
    assert [row.crop_size for row in unbroken.history] == [8, 16, 16, 16, 16]
    assert unbroken.history[-1].train_accuracy > unbroken.history[0].train_accuracy
    assert unbroken.best.validation_accuracy > 0.9
    assert unbroken.best.validation_loss == min(row.validation_loss for row in unbroken.history[2:])


def test_the_last_cycle_counts(pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    """Even where it makes the network worse."""
    worse = replace(RECIPE, lr_cycles=((16, 16), (8,)), peak_lr_scales=(1.0, 100.0), ema_decay=0.0)
    trained = train(worse, *pictures, tmp_path / "state", device="cpu")
    assert trained.best == trained.history[-1]
    assert trained.best.validation_loss > min(row.validation_loss for row in trained.history)


def test_a_broken_run_ends_like_an_unbroken_one(
    unbroken: loop.TrainingResult,
    pictures: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(RECIPE, *pictures, tmp_path / "state", device="cpu")
    resumed = train(RECIPE, *pictures, tmp_path / "state", resume=True, device="cpu")
    assert all(torch.equal(resumed.weights[name], tensor) for name, tensor in unbroken.weights.items())
    timeless = [[replace(row, seconds=0) for row in run.history] for run in (resumed, unbroken)]
    assert timeless[0] == timeless[1]


def test_resume_needs_a_state(pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="nothing to resume"):
        train(RECIPE, *pictures, tmp_path / "state", resume=True)


@pytest.mark.parametrize(
    "what", ["recipe", "data", "validation", "order of pictures", "first weights", "device"]
)
def test_resume_refuses_the_state_of_another_run(
    what: str, pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *pictures, tmp_path / "state", device="cpu")
    training, validation = pictures
    first: dict[str, torch.Tensor] | None = None
    if what == "recipe":
        short = replace(short, seed=1)
    elif what == "data":
        training = training.select(np.arange(60))
    elif what == "validation":
        validation = validation.select(np.arange(15))
    elif what == "order of pictures":
        training = training.select(np.arange(64)[::-1])
    elif what == "first weights":
        first = {"fc.bias": torch.ones(1)}
    else:
        state = torch.load(tmp_path / "state")
        torch.save(state | {"device": "cuda"}, tmp_path / "state")
    with pytest.raises(ResumeError, match=f"another {what}"):
        train(short, training, validation, tmp_path / "state", first, resume=True, device="cpu")


def test_names_of_files_are_no_part_of_a_run(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *pictures, tmp_path / "state", device="cpu")
    training, validation = (replace(part, names=[f"{name}.png" for name in part.names]) for part in pictures)
    train(short, training, validation, tmp_path / "state", resume=True, device="cpu")


def test_resume_refuses_a_state_that_does_not_say_what_it_began_with(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *pictures, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state")
    del state["first weights"]
    torch.save(state, tmp_path / "state")
    with pytest.raises(ResumeError, match="does not say with which first weights"):
        train(short, *pictures, tmp_path / "state", resume=True, device="cpu")


def test_resume_refuses_a_state_of_before_precisions(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    short = replace(RECIPE, lr_cycles=((8,),))
    train(short, *pictures, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state", weights_only=True)
    del state["precision"]
    torch.save(state, tmp_path / "state")
    with pytest.raises(ResumeError, match="in which precision"):
        train(short, *pictures, tmp_path / "state", resume=True, device="cpu")


def test_first_weights_are_where_it_starts(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    first = build_network(RECIPE.architecture).state_dict()
    still = replace(RECIPE, lr_cycles=((8,),), learning_rate=0.0)
    trained = train(still, *pictures, tmp_path / "state", first, device="cpu")
    assert torch.equal(trained.weights["conv1.weight"], first["conv1.weight"])


def test_it_stops_early_when_validation_stalls(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    stalled = replace(RECIPE, lr_cycles=((8,) * 4,), learning_rate=0.0, patience=1, ema_decay=0.0)
    training, validation = pictures
    trained = train(stalled, training, validation, tmp_path / "state", device="cpu")
    assert len(trained.history) < 4


def test_a_new_cycle_is_not_stalled_by_the_one_before(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    # With these epochs in one cycle it stops early (above); no cycle of one is long enough to stall in.
    endless = replace(RECIPE, learning_rate=0.0, patience=1, ema_decay=0.0, lr_cycles=((8,),) * 4)
    assert len(train(endless, *pictures, tmp_path / "state", device="cpu").history) == 4


def killed(row: Epoch) -> str:
    """In place of `loop.describe`, which is called right after an epoch's state is saved."""
    raise KeyboardInterrupt


def same(one: loop.TrainingResult, other: loop.TrainingResult) -> bool:
    return all(torch.equal(one.weights[name], tensor) for name, tensor in other.weights.items())


def test_it_learns_in_bf16(
    unbroken: loop.TrainingResult, pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path
) -> None:
    trained = train(RECIPE, *pictures, tmp_path / "state", device="cpu", precision="bf16")
    assert trained.best.validation_accuracy > 0.9
    assert trained.precision == Choice("bf16", {})
    assert not same(trained, unbroken)


def test_a_measurement_changes_nothing_but_the_precision(
    unbroken: loop.TrainingResult,
    pictures: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And a run that goes on keeps what it was begun in, whatever would be measured then."""
    measured: list[dict[str, float]] = []
    measure = loop.step_times

    def f32_first(*arguments: object) -> dict[str, float]:
        measured.append(measure(*arguments))  # type: ignore[arg-type]
        return {"f32": 1.0 * len(measured), "bf16": 1.5}  # another time bf16 would be taken

    monkeypatch.setattr("training.fitting.precision.has_bf16", lambda device: True)
    monkeypatch.setattr(loop, "step_times", f32_first)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)
        train(RECIPE, *pictures, tmp_path / "state", device="cpu")
    with pytest.raises(ResumeError, match="was made in f32, not in bf16"):
        train(RECIPE, *pictures, tmp_path / "state", resume=True, device="cpu", precision="bf16")
    resumed = train(RECIPE, *pictures, tmp_path / "state", resume=True, device="cpu")
    assert resumed.precision == Choice("f32", {"f32": 1.0, "bf16": 1.5})
    assert same(resumed, unbroken)
    assert len(measured) == 1


@pytest.mark.filterwarnings("ignore:for .*copying from a non-meta parameter")
def test_a_device_without_float64(
    pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Apple's, which `auto` picks. The run is killed on the way and goes on."""
    short = replace(RECIPE, lr_cycles=((8,), (16,)), balance=True)
    here = train(short, *pictures, tmp_path / "here", device="cpu")
    with Elsewhere():
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(loop, "describe", killed)
            train(short, *pictures, tmp_path / "there", device="meta")
        there = train(short, *pictures, tmp_path / "there", resume=True, device="meta")
    assert len(there.history) == 2
    assert there.weights.keys() == here.weights.keys()
    for name, tensor in here.weights.items():
        torch.testing.assert_close(there.weights[name], tensor, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("what", ["training loss", "gradient", "weight", "validation loss"])
def test_what_is_not_finite_is_never_saved(
    what: str,
    pictures: tuple[LabelledImages, LabelledImages],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The fault comes in the last step of the second epoch, and reaches no loss but the one named."""
    recipe = replace(RECIPE, lr_cycles=((8, 8, 8),))
    last = 64 // recipe.batch_size * 2
    steps = iter(range(1, last + 1))
    step_of = torch.optim.SGD.step
    compute = loop.logits

    def faulty_step(optimizer: torch.optim.SGD) -> None:
        step_of(optimizer)
        if next(steps) == last and what == "weight":
            with torch.no_grad():  # a tap that no validation picture of this size reads
                optimizer.param_groups[0]["params"][0][0, 0, 0, 0] = torch.nan

    computed = iter(range(1, 2 * last))

    def faulty_logits(network: torch.nn.Module, batch: torch.Tensor) -> torch.Tensor:
        z = compute(network, batch)
        if network.training and next(computed) == last:
            if what == "training loss":
                return z * torch.nan
            if what == "gradient":
                z.register_hook(lambda gradient: gradient * torch.nan)
        return z

    monkeypatch.setattr(torch.optim.SGD, "step", faulty_step)
    monkeypatch.setattr(loop, "logits", faulty_logits)
    if what == "validation loss":
        said = iter([(0.5, 0.5), (float("nan"), 0.5)])
        monkeypatch.setattr(loop._Trainer, "validate", lambda run, validation: next(said))
    elif what == "weight":
        monkeypatch.setattr(loop._Trainer, "validate", lambda run, validation: (0.5, 0.5))
    with pytest.raises(NotFiniteError, match=f"in epoch 2 a {what} is not finite"):
        train(recipe, *pictures, tmp_path / "state", device="cpu")
    state = torch.load(tmp_path / "state", weights_only=True)
    assert [row["epoch"] for row in state["history"]] == [1]
    assert all(tensor.isfinite().all() for part in ("network", "best") for tensor in state[part].values())


def test_bf16_on_the_smallest_maps(pictures: tuple[LabelledImages, LabelledImages], tmp_path: Path) -> None:
    """Windows of 8 pixels, whose last stage sees one place, many steps on memory that was used before."""
    recipe = replace(RECIPE, lr_cycles=((8, 8, 8, 8),))
    trained = train(recipe, *pictures, tmp_path / "state", device="cpu", precision="bf16")
    assert all(tensor.isfinite().all() for tensor in trained.weights.values())
