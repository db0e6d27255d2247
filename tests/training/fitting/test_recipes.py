from dataclasses import replace

import pytest

from model.architecture import BACKBONES
from model.images.preprocess import Preprocess
from training.fitting.recipes import RECIPES, recipe_record


def test_names_are_keys() -> None:
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    assert "cifake" in RECIPES


def test_the_recipe_for_a_gpu_learns_from_the_teacher() -> None:
    recipe, teacher = RECIPES["cifake-gpu"], RECIPES["cifake-teacher"]
    assert recipe.teacher == teacher
    assert (recipe.architecture.stem, teacher.architecture.stem) == ("small-late-pool", "small")
    assert recipe.distill_weight[0] > 0
    for one in (recipe, teacher):
        assert len(one.lr_cycles) == 1
        assert one.patience >= one.epochs  # no early stopping while the rate is high


def test_a_teacher_is_overridden_too() -> None:
    recipe = RECIPES["cifake-gpu"].override(epochs=2, batch_size=32, learning_rate=0.1, seed=5)
    assert recipe.teacher is not None
    for one in (recipe, recipe.teacher):
        assert (one.epochs, one.batch_size, one.learning_rate, one.seed) == (2, 32, 0.1, 5)
    overrides = {"epochs": 2, "batch_size": 32, "learning_rate": 0.1, "seed": 5}
    assert recipe_record(recipe, "none")["overrides"] == overrides
    assert recipe_record(RECIPES["cifake-gpu"], "none")["overrides"] == {}


def test_synergy_is_as_published() -> None:
    recipe = RECIPES["synergy"]
    assert (recipe.architecture.stem, recipe.architecture.head) == ("imagenet", "mlp")
    assert recipe.architecture.dropout == 0.3
    assert recipe.preprocess == Preprocess(224, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (recipe.optimizer, recipe.batch_size, recipe.epochs, recipe.validation_fraction) == (
        "adam",
        16,
        5,
        0.1,
    )
    assert {recipe.lr_at(epoch, 0.5) for epoch in range(1, 6)} == {1e-4}
    assert recipe.augmentation.flip
    assert recipe.augmentation.rotate > 0
    assert (
        recipe.label_smoothing
        == recipe.ema_decay
        == recipe.prune_ratio
        == recipe.augmentation.chroma_upsampling
        == 0
    )


def test_predictathon_is_as_published() -> None:
    recipe = RECIPES["predictathon"]
    assert (recipe.architecture.stem, recipe.architecture.head) == ("imagenet", "linear")
    assert recipe.preprocess == Preprocess(224, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (recipe.optimizer, recipe.batch_size, recipe.epochs, recipe.validation_fraction) == (
        "adam",
        32,
        10,
        0.2,
    )
    assert recipe.lr_at(1, 0) == 1e-4 > recipe.lr_at(5, 0) > recipe.lr_at(10, 1) == 0
    assert recipe.augmentation.flip
    assert recipe.augmentation.rotate > 0 < recipe.augmentation.brightness
    assert recipe.balance
    assert recipe.architecture.dropout > 0
    assert recipe.patience < 5


def test_overrides_are_what_differs_from_the_recipe_of_that_name() -> None:
    assert recipe_record(RECIPES["hackathon"], "shipped")["overrides"] == {}
    changed = RECIPES["hackathon"].override(epochs=3, learning_rate=0.1)
    record = recipe_record(changed, "none")
    assert record["overrides"] == {"epochs": 3, "learning_rate": 0.1, "init": "none"}
    assert (record["init"], record["lr_cycles"]) == ("none", ((32,) * 3,))
    assert recipe_record(replace(changed, name="another"), "none")["overrides"] == {}


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("backbone", BACKBONES)
def test_another_backbone_leaves_the_rest_of_a_recipe_as_it_is(backbone: str, name: str) -> None:
    recipe = RECIPES[name]
    changed = recipe.override(backbone=backbone)
    assert changed.architecture.backbone == backbone
    own = replace(changed, architecture=recipe.architecture, early_stems=recipe.early_stems)
    assert own == recipe
    assert backbone == "resnet18" or not changed.early_stems
    overrides = {} if backbone == "resnet18" else {"backbone": backbone}
    record = recipe_record(changed, recipe.init)
    assert record["overrides"] == overrides
    assert record["architecture"]["backbone"] == backbone
