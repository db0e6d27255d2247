from dataclasses import FrozenInstanceError, replace

import pytest

from training.recipes import RECIPES


def test_names_are_keys() -> None:
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    assert "cifake" in RECIPES


def test_recipes_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPES["cifake"].seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"cycles": ()},
        {"cycles": ((),)},
        {"cycles": ((64,),)},
        {"cycles": ((0,),)},
        {"batch_size": 1},
        {"validation": 0.0},
        {"prune": 1.0},
    ],
)
def test_senseless_choices_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="cycles|windows|batch|validation|prune"):
        replace(RECIPES["cifake"], **change)


TWO_CYCLES = replace(
    RECIPES["cifake"], cycles=((16, 16, 16, 16, 16), (24, 32)), learning_rate=0.2, warmup=0.2
)


def test_epochs_of_all_cycles_stand_in_a_row() -> None:
    assert TWO_CYCLES.windows == (16, 16, 16, 16, 16, 24, 32)
    assert TWO_CYCLES.epochs == 7
    assert [TWO_CYCLES.place(epoch) for epoch in (1, 5, 6, 7)] == [(0, 0), (0, 4), (1, 0), (1, 1)]
    with pytest.raises(ValueError, match="no epoch 8"):
        TWO_CYCLES.place(8)


def test_the_rate_goes_up_and_down_in_lines_in_each_cycle() -> None:
    assert TWO_CYCLES.rate(1, 0) == 0
    assert TWO_CYCLES.rate(1, 0.5) == pytest.approx(0.1)
    assert TWO_CYCLES.rate(2, 0) == pytest.approx(0.2)
    assert TWO_CYCLES.rate(4, 0) == pytest.approx(0.1)
    assert TWO_CYCLES.rate(5, 1) == pytest.approx(0)
    assert TWO_CYCLES.rate(6, 0) == 0
    assert TWO_CYCLES.rate(6, 0.4) == pytest.approx(0.2)
    assert TWO_CYCLES.rate(7, 0.2) == pytest.approx(0.1)
