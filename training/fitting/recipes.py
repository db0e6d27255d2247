"""Recipes: named training configurations."""

from dataclasses import asdict, replace
from typing import Any

from model.architecture import Architecture
from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from training.fitting.augmentation import NO_AUGMENTATION
from training.fitting.recipe import Recipe

# Adam on whole images at 224x224, common to both published hackathon projects.
_PUBLISHED = Recipe(
    "published",
    lr_cycles=((224,),),
    preprocess=Preprocess(224),
    augmentation=replace(NO_AUGMENTATION, flip=True, rotate=10),
    optimizer="adam",
    learning_rate=1e-4,
    warmup=0.0,
    weight_decay=0.0,
    label_smoothing=0.0,
    ema_decay=0.0,
)

# One long cycle, which early stopping leaves alone, on whole images at the stem's full resolution. For a GPU.
_TEACHER = Recipe(
    "cifake-teacher",
    lr_cycles=((32,) * 120,),
    architecture=Architecture("small"),
    object_weight=(0.3,),
    patience=120,
)

RECIPES = {
    recipe.name: recipe
    for recipe in [
        Recipe(
            "cifake",
            lr_cycles=(
                (16,) * 2 + (24,) * 3 + (32,) * 4,
                (24,) * 2 + (32,) * 8,
                (24,) * 4 + (32,) * 15,
                (32,) * 14,
                (32,) * 8,
                (32,) * 9,
                (24,) * 3 + (32,) * 20,
            ),
            architecture=Architecture("small-late-pool"),
            early_stems=("small-pool",) * 6,
            peak_lr_scales=(1.0, 1.0, 0.5, 0.35, 0.5, 0.5, 0.6),
            prune_ratio=0.65,
            distill_weight=(0.0, 0.0, 0.0, 0.7, 0.5),
            object_weight=(0.0, 0.0, 0.0, 0.0, 0.3, 0.4),
            qat_epochs=2,
            patience=24,
        ),
        _TEACHER,
        Recipe(
            "cifake-gpu",
            lr_cycles=((32,) * 90,),
            architecture=Architecture("small-late-pool"),
            distill_weight=(0.7,),
            object_weight=(0.3,),
            qat_epochs=2,
            teacher=_TEACHER,
            patience=90,
        ),
        # A short run, for new data or other seeds: about a fifteenth of the cost of `cifake`.
        Recipe("quick", lr_cycles=((16, 16, 24, 32),)),
        # Synergy'25. Published: flips and slight rotations. Chosen here: 10 degrees.
        replace(
            _PUBLISHED,
            name="synergy",
            lr_cycles=((224,) * 5,),
            architecture=Architecture("imagenet", "mlp", dropout=0.3),
            preprocess=Preprocess(224, IMAGENET_MEAN, IMAGENET_STD),
            batch_size=16,
            final_lr_scale=1.0,
            validation_fraction=0.1,
        ),
        # Predictathon 2025. Published: flip, rotation, brightness, class balancing, early stopping, dropout
        # and learning-rate schedule. Chosen here: 10 degrees, 0.2, patience 3, dropout 0.3, decay to 0.
        replace(
            _PUBLISHED,
            name="predictathon",
            lr_cycles=((224,) * 10,),
            architecture=Architecture("imagenet", "linear", dropout=0.3),
            preprocess=Preprocess(224, HALF, HALF),
            augmentation=replace(_PUBLISHED.augmentation, brightness=0.2),
            batch_size=32,
            balance=True,
            validation_fraction=0.2,
            patience=3,
        ),
        # Fine-tuning of the shipped model on the same 2,000 images.
        Recipe(
            "hackathon",
            lr_cycles=((32,) * 5,),
            architecture=Architecture("small-late-pool"),
            init="shipped",
            batch_size=64,
            learning_rate=0.005,
            ema_decay=0.98,
            validation_fraction=0.1,
        ),
    ]
}


def recipe_record(recipe: Recipe, init: str) -> dict[str, Any]:
    """The settings of a run, and as `overrides` those that are others than the recipe of that name has.

    init: the run's initial weights. Another number of epochs stands there as `epochs`, without the cycles,
    early stems and teacher's settings that follow from it, and another network by its `backbone`. A recipe
    that is not in RECIPES has no overrides.
    """
    used = asdict(replace(recipe, init=init))
    own = asdict(RECIPES[recipe.name]) if recipe.name in RECIPES else used
    overrides = {name: value for name, value in used.items() if value != own[name]}
    overrides.pop("teacher", None)
    overrides.pop("early_stems", None)
    if overrides.pop("lr_cycles", None):
        overrides["epochs"] = recipe.epochs
    if overrides.pop("architecture", None):
        overrides["backbone"] = recipe.architecture.backbone
    return used | {"overrides": overrides}
