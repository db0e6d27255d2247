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
    "change", [{"windows": ()}, {"windows": (64,)}, {"windows": (0,)}, {"batch_size": 1}, {"validation": 0.0}]
)
def test_senseless_choices_are_refused(change: dict) -> None:
    with pytest.raises(ValueError, match="windows|batch|validation"):
        replace(RECIPES["cifake"], **change)
