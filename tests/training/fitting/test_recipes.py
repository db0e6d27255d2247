from dataclasses import FrozenInstanceError, replace

import pytest

from model.images.preprocess import Preprocess
from training.fitting.recipes import RECIPES


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
        {"peaks": ()},
    ],
)
def test_senseless_choices_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="cycles|windows|batch|validation|prune|peaks"):
        replace(RECIPES["cifake"], **change)


TWO_CYCLES = replace(
    RECIPES["cifake"],
    cycles=((16, 16, 16, 16, 16), (24, 32)),
    peaks=(1.0,),
    learning_rate=0.2,
    warmup=0.2,
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


def test_cycles_may_have_peaks_of_their_own() -> None:
    falling = replace(TWO_CYCLES, cycles=((32,),) * 3, peaks=(1.0, 0.5))
    assert [falling.rate(epoch, 0.2) for epoch in (1, 2, 3)] == pytest.approx([0.2, 0.1, 0.1])


def test_a_rate_can_stay_where_it_is() -> None:
    constant = replace(TWO_CYCLES, warmup=0.0, final_rate=1.0)
    assert {constant.rate(epoch, part) for epoch in (1, 5, 7) for part in (0, 0.5, 1)} == {0.2}


def test_synergy_is_as_published() -> None:
    recipe = RECIPES["synergy"]
    assert (recipe.architecture.stem, recipe.architecture.head) == ("imagenet", "mlp")
    assert recipe.architecture.dropout == 0.3
    assert recipe.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (recipe.optimiser, recipe.batch_size, recipe.epochs, recipe.validation) == ("adam", 16, 5, 0.1)
    assert {recipe.rate(epoch, 0.5) for epoch in range(1, 6)} == {1e-4}
    assert recipe.augmentation.flip
    assert recipe.augmentation.rotate > 0
    assert recipe.label_smoothing == recipe.average == recipe.prune == recipe.augmentation.decoder == 0


def test_predictathon_is_as_published() -> None:
    recipe = RECIPES["predictathon"]
    assert (recipe.architecture.stem, recipe.architecture.head) == ("imagenet", "linear")
    assert recipe.preprocess == Preprocess(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (recipe.optimiser, recipe.batch_size, recipe.epochs, recipe.validation) == ("adam", 32, 10, 0.2)
    assert recipe.rate(1, 0) == 1e-4 > recipe.rate(5, 0) > recipe.rate(10, 1) == 0
    assert recipe.augmentation.flip
    assert recipe.augmentation.rotate > 0 < recipe.augmentation.brightness
    assert recipe.balance
    assert recipe.architecture.dropout > 0
    assert recipe.patience < 5
