from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.network import build_network
from model.preprocess import Preprocess
from training import loop
from training.data import Pictures
from training.loop import Epoch, ResumeError, train, write_history
from training.recipes import RECIPES

RECIPE = replace(
    RECIPES["cifake"],
    preprocess=Preprocess(16),
    cycles=((8, 16), (16, 16, 16)),
    prune=0.5,
    distil=(0.0, 0.2),
    batch_size=8,
    learning_rate=0.02,
    average=0.5,
)


@pytest.fixture(scope="module")
def pictures() -> tuple[Pictures, Pictures]:
    """Checked and plain pictures in noise: a texture that a network learns within a few steps."""
    random = np.random.default_rng(0)
    images = random.integers(90, 166, (80, 16, 16, 3), dtype=np.uint8)
    labels = (np.arange(80) % 2).astype(np.uint8)
    checks = (np.indices((16, 16)).sum(0) % 2 * 80).astype(np.uint8)
    images[labels == 1] += checks[..., None]
    everything = Pictures(images, labels, [str(i) for i in range(80)], [])
    return everything.take(np.arange(64)), everything.take(np.arange(64, 80))


@pytest.fixture(scope="module")
def unbroken(pictures: tuple[Pictures, Pictures], tmp_path_factory: pytest.TempPathFactory) -> loop.Trained:
    return train(RECIPE, *pictures, tmp_path_factory.mktemp("run") / "state", device="cpu")


def test_it_learns(unbroken: loop.Trained) -> None:
    assert [row.window for row in unbroken.history] == [8, 16, 16, 16, 16]
    assert unbroken.history[-1].train_accuracy > unbroken.history[0].train_accuracy
    assert unbroken.best.validation_accuracy > 0.9
    assert unbroken.best.validation_loss == min(row.validation_loss for row in unbroken.history[2:])


def test_the_last_cycle_counts(pictures: tuple[Pictures, Pictures], tmp_path: Path) -> None:
    """Even where it makes the network worse."""
    worse = replace(RECIPE, cycles=((16, 16), (8,)), peaks=(1.0, 100.0), average=0.0)
    trained = train(worse, *pictures, tmp_path / "state", device="cpu")
    assert trained.best == trained.history[-1]
    assert trained.best.validation_loss > min(row.validation_loss for row in trained.history)


def test_a_broken_run_ends_like_an_unbroken_one(
    unbroken: loop.Trained,
    pictures: tuple[Pictures, Pictures],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def killed(row: Epoch) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(loop, "describe", killed)  # called right after an epoch's state is saved
        train(RECIPE, *pictures, tmp_path / "state", device="cpu")
    resumed = train(RECIPE, *pictures, tmp_path / "state", resume=True, device="cpu")
    assert all(torch.equal(resumed.weights[name], tensor) for name, tensor in unbroken.weights.items())
    timeless = [[replace(row, seconds=0) for row in run.history] for run in (resumed, unbroken)]
    assert timeless[0] == timeless[1]


def test_resume_needs_a_state(pictures: tuple[Pictures, Pictures], tmp_path: Path) -> None:
    with pytest.raises(ResumeError, match="nothing to resume"):
        train(RECIPE, *pictures, tmp_path / "state", resume=True)


@pytest.mark.parametrize("what", ["recipe", "data"])
def test_resume_refuses_the_state_of_another_run(
    what: str, pictures: tuple[Pictures, Pictures], tmp_path: Path
) -> None:
    short = replace(RECIPE, cycles=((8,),))
    train(short, *pictures, tmp_path / "state", device="cpu")
    training, validation = pictures
    with pytest.raises(ResumeError, match=f"another {what}"):
        if what == "recipe":
            train(replace(short, seed=1), training, validation, tmp_path / "state", resume=True)
        else:
            fewer = training.take(np.arange(60))
            train(short, fewer, validation, tmp_path / "state", resume=True)


def test_first_weights_are_where_it_starts(pictures: tuple[Pictures, Pictures], tmp_path: Path) -> None:
    torch.manual_seed(1)
    first = build_network(RECIPE.architecture).state_dict()
    still = replace(RECIPE, cycles=((8,),), learning_rate=0.0)
    trained = train(still, *pictures, tmp_path / "state", first, device="cpu")
    assert torch.equal(trained.weights["conv1.weight"], first["conv1.weight"])


def test_it_stops_early_when_validation_stalls(pictures: tuple[Pictures, Pictures], tmp_path: Path) -> None:
    stalled = replace(RECIPE, cycles=((8,) * 4,), learning_rate=0.0, patience=1, average=0.0)
    training, validation = pictures
    trained = train(stalled, training, validation, tmp_path / "state", device="cpu")
    assert len(trained.history) < 4


def test_a_new_cycle_is_not_stalled_by_the_one_before(
    pictures: tuple[Pictures, Pictures], tmp_path: Path
) -> None:
    # With these epochs in one cycle it stops early (above); no cycle of one is long enough to stall in.
    endless = replace(RECIPE, learning_rate=0.0, patience=1, average=0.0, cycles=((8,),) * 4)
    assert len(train(endless, *pictures, tmp_path / "state", device="cpu").history) == 4


def test_history_is_written_as_csv(unbroken: loop.Trained, tmp_path: Path) -> None:
    write_history(unbroken.history, tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,window,train_loss,train_accuracy,validation_loss")
    assert len(lines) == 6
