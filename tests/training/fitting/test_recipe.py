from dataclasses import FrozenInstanceError, replace

import pytest
import torch
from torch import nn

from model.architecture import Architecture
from model.images.preprocess import Preprocess
from training.fitting.recipe import value_of_cycle
from training.fitting.recipes import RECIPES


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
        {"qat_epochs": -1},
        {"early_stems": ("imagenet",)},
        {"early_stems": ("small-pool",) * len(RECIPES["cifake"].lr_cycles)},
        {"early_stems": ("small-pool",), "architecture": Architecture("imagenet")},
        {"early_stems": ("small",), "architecture": Architecture("small", backbone="resnet50")},
    ],
)
def test_invalid_values_are_refused(change: dict) -> None:
    with pytest.raises(
        ValueError,
        match="lr_cycles|crop_sizes|batch|validation_fraction|prune_ratio|peak_lr_scales|object_weight|qat_epochs"
        "|early_stems",
    ):
        replace(RECIPES["cifake"], **change)


@pytest.mark.parametrize("change", [{"init": "shipped"}, {"preprocess": Preprocess(64)}])
def test_a_teacher_starts_from_nothing_and_takes_the_same_batches(change: dict) -> None:
    teacher = replace(RECIPES["quick"], **change)
    with pytest.raises(ValueError, match="a teacher must have the same preprocess"):
        replace(RECIPES["cifake"], teacher=teacher)


def test_objects_are_learnt_if_a_cycle_has_a_weight() -> None:
    recipe = RECIPES["cifake"]
    assert recipe.learns_objects
    assert not recipe.override(epochs=3).learns_objects  # one cycle, as the first
    assert replace(RECIPES["quick"], object_weight=(0.5, 0.0)).learns_objects
    assert not RECIPES["quick"].learns_objects


def test_the_first_cycles_have_stems_of_their_own() -> None:
    recipe = replace(
        RECIPES["cifake"],
        lr_cycles=((16,), (32,), (32,)),
        architecture=Architecture("small-late-pool"),
        early_stems=("small-pool",),
    )
    assert recipe.stems == ("small-pool", "small-late-pool", "small-late-pool")
    assert replace(recipe, early_stems=()).stems == ("small-late-pool",) * 3
    assert recipe.override(epochs=4).stems == ("small-late-pool",)
    assert recipe.override(backbone="resnet50").stems == ("small",) * 3


def test_the_last_epochs_round_the_kernels_of_a_resnet18() -> None:
    recipe = replace(RECIPES["cifake"], lr_cycles=((16, 16), (24, 32)), early_stems=(), qat_epochs=3)
    assert [recipe.rounds_kernels(epoch) for epoch in range(1, 5)] == [False, True, True, True]
    assert not replace(recipe, qat_epochs=0).rounds_kernels(4)
    assert recipe.override(epochs=2).rounds_kernels(1)
    assert not recipe.override(backbone="resnet50").rounds_kernels(4)


TWO_CYCLES = replace(
    RECIPES["cifake"],
    lr_cycles=((16, 16, 16, 16, 16), (24, 32)),
    early_stems=(),
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
