from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import nn

from model.architecture import BACKBONES
from model.images.preprocess import Preprocess
from training.fitting.recipes import RECIPES, recipe_record, value_of_cycle


def test_names_are_keys() -> None:
    assert all(name == recipe.name for name, recipe in RECIPES.items())
    assert "cifake" in RECIPES


def test_recipes_are_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        RECIPES["cifake"].seed = 1  # type: ignore[misc]


@pytest.mark.parametrize(
    "change",
    [
        {"lr_cycles": ()},
        {"lr_cycles": ((),)},
        {"lr_cycles": ((64,),)},
        {"lr_cycles": ((0,),)},
        {"batch_size": 1},
        {"validation_fraction": 0.0},
        {"prune_ratio": 1.0},
        {"peak_lr_scales": ()},
        {"object_weight": ()},
        {"object_weight": (0.0, -1.0)},
        {"object_weight": (float("inf"),)},
    ],
)
def test_invalid_values_are_refused(change: dict) -> None:
    with pytest.raises(
        ValueError,
        match="lr_cycles|crop_sizes|batch|validation_fraction|prune_ratio|peak_lr_scales|object_weight",
    ):
        replace(RECIPES["cifake"], **change)


@pytest.mark.parametrize("change", [{"init": "shipped"}, {"preprocess": Preprocess(64)}])
def test_a_teacher_starts_from_nothing_and_takes_the_same_batches(change: dict) -> None:
    teacher = replace(RECIPES["quick"], **change)
    with pytest.raises(ValueError, match="a teacher must have the same preprocess"):
        replace(RECIPES["cifake"], teacher=teacher)


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


def test_objects_are_learnt_if_a_cycle_has_a_weight() -> None:
    recipe = RECIPES["cifake"]
    assert recipe.learns_objects
    assert not recipe.override(epochs=3).learns_objects  # one cycle, as the first
    assert replace(RECIPES["quick"], object_weight=(0.5, 0.0)).learns_objects
    assert not RECIPES["quick"].learns_objects


TWO_CYCLES = replace(
    RECIPES["cifake"],
    lr_cycles=((16, 16, 16, 16, 16), (24, 32)),
    peak_lr_scales=(1.0,),
    learning_rate=0.2,
    warmup=0.2,
)


def test_epochs_are_counted_over_all_cycles() -> None:
    assert TWO_CYCLES.crop_sizes == (16, 16, 16, 16, 16, 24, 32)
    assert TWO_CYCLES.epochs == 7
    assert [TWO_CYCLES.locate(epoch) for epoch in (1, 5, 6, 7)] == [(0, 0), (0, 4), (1, 0), (1, 1)]
    with pytest.raises(ValueError, match="no epoch 8"):
        TWO_CYCLES.locate(8)


def test_the_learning_rate_is_piecewise_linear_in_each_cycle() -> None:
    assert TWO_CYCLES.lr_at(1, 0) == 0
    assert TWO_CYCLES.lr_at(1, 0.5) == pytest.approx(0.1)
    assert TWO_CYCLES.lr_at(2, 0) == pytest.approx(0.2)
    assert TWO_CYCLES.lr_at(4, 0) == pytest.approx(0.1)
    assert TWO_CYCLES.lr_at(5, 1) == pytest.approx(0)
    assert TWO_CYCLES.lr_at(6, 0) == 0
    assert TWO_CYCLES.lr_at(6, 0.4) == pytest.approx(0.2)
    assert TWO_CYCLES.lr_at(7, 0.2) == pytest.approx(0.1)


def test_peak_lr_scales() -> None:
    falling = replace(TWO_CYCLES, lr_cycles=((32,),) * 3, peak_lr_scales=(1.0, 0.5))
    assert [falling.lr_at(epoch, 0.2) for epoch in (1, 2, 3)] == pytest.approx([0.2, 0.1, 0.1])


def test_a_constant_learning_rate() -> None:
    constant = replace(TWO_CYCLES, warmup=0.0, final_lr_scale=1.0)
    assert {constant.lr_at(epoch, fraction) for epoch in (1, 5, 7) for fraction in (0, 0.5, 1)} == {0.2}


def test_the_last_value_of_a_cycle_repeats() -> None:
    assert [value_of_cycle((0.0, 0.5), cycle) for cycle in range(4)] == [0.0, 0.5, 0.5, 0.5]


@pytest.mark.parametrize(("name", "kind"), [("cifake", torch.optim.SGD), ("synergy", torch.optim.Adam)])
def test_the_optimizer_decays_kernels_and_matrices_only(name: str, kind: type) -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 1))
    recipe = replace(RECIPES[name], weight_decay=0.5)
    optimizer = recipe.create_optimizer(network)
    assert type(optimizer) is kind
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    for parameter in network.parameters():
        assert decay[id(parameter)] == (0.5 if parameter.ndim > 1 else 0)
    assert all(group["lr"] == recipe.learning_rate for group in optimizer.param_groups)


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
    assert replace(changed, architecture=recipe.architecture) == recipe
    overrides = {} if backbone == "resnet18" else {"backbone": backbone}
    record = recipe_record(changed, recipe.init)
    assert record["overrides"] == overrides
    assert record["architecture"]["backbone"] == backbone
