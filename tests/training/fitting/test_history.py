from dataclasses import replace
from pathlib import Path

import pytest

from training.fitting.history import (
    Epoch,
    best_epoch,
    current_cycle,
    describe,
    should_stop_early,
    write_history,
)
from training.fitting.recipe import Recipe
from training.fitting.recipes import RECIPES

RECIPE = replace(RECIPES["quick"], lr_cycles=((16, 32), (32, 32, 32, 32)), patience=2)


def epochs(*losses: float, recipe: Recipe = RECIPE) -> list[Epoch]:
    rows = zip(recipe.crop_sizes, losses, strict=False)
    return [Epoch(i, crop_size, 0.5, 0.75, loss, 0.875, 2.0) for i, (crop_size, loss) in enumerate(rows, 1)]


def test_history_is_written_as_csv(tmp_path: Path) -> None:
    write_history(epochs(0.25, 0.5), tmp_path / "history.csv")
    lines = (tmp_path / "history.csv").read_text().splitlines()
    assert lines[0].startswith("epoch,crop_size,train_loss,train_accuracy,validation_loss")
    assert lines[1:] == ["1,16,0.5,0.75,0.25,0.875,2.0", "2,32,0.5,0.75,0.5,0.875,2.0"]
    assert "validation loss 0.2500 accuracy 87.50%" in describe(epochs(0.25)[0])


def test_best_epoch_of_a_cycle() -> None:
    history = epochs(0.1, 0.2, 0.4, 0.3)
    assert best_epoch(history).epoch == 1
    assert [row.epoch for row in current_cycle(history, RECIPE)] == [3, 4]
    assert best_epoch(current_cycle(history, RECIPE)).epoch == 4


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((), False),
        ((0.1, 0.2), False),  # the next epoch is the first of a cycle
        ((0.1, 0.2, 0.3, 0.4), False),
        ((0.1, 0.2, 0.3, 0.4, 0.4), True),
        ((0.1, 0.2, 0.3, 0.4, 0.2), False),
    ],
)
def test_patience_is_counted_within_a_cycle(losses: tuple[float, ...], expected: bool) -> None:
    assert should_stop_early(epochs(*losses), RECIPE) is expected
