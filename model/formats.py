"""Versions of the checkpoint file, and what brings an older one to the newest."""

from typing import Any

FORMAT = "cifake-checkpoint/2"
_FIRST = "cifake-checkpoint/1"

_RECIPE = {
    "cycles": "lr_cycles",
    "peaks": "peak_lr_scales",
    "final_rate": "final_lr_scale",
    "optimiser": "optimizer",
    "prune": "prune_ratio",
    "distil": "distill_weight",
    "average": "ema_decay",
    "validation": "validation_fraction",
}
_AUGMENTATION = {
    "decoder": "chroma_upsampling",
    "recompress": "jpeg_reencode",
    "lowest_quality": "min_jpeg_quality",
    "widest_blur": "max_blur_sigma",
    "loudest_noise": "max_noise_std",
    "tone": "color_jitter",
    "grey": "grayscale",
}


def is_checkpoint(content: dict[str, Any]) -> bool:
    """Whether the content of a file is a checkpoint, of this version or an older one."""
    return content.get("format") in (FORMAT, _FIRST)


def upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """The content of a checkpoint by the names of the newest version.

    Raises KeyError where something is missing, and ValueError for a threshold other than 1/2, which version 1
    allowed and nothing set.
    """
    if content["format"] == FORMAT:
        return content
    if content["threshold"] != 0.5:
        raise ValueError(
            f"a threshold of {content['threshold']} is not supported: calibrate the model instead"
        )
    recipe = _renamed(content["recipe"], _RECIPE)
    if "augmentation" in recipe:
        recipe["augmentation"] = _renamed(recipe["augmentation"], _AUGMENTATION)
    detector = content.get("domain")
    return content | {
        "format": FORMAT,
        "positive_class": content["positive"],
        "ood_detector": detector and _renamed(detector, {"middle": "mean"}),
        "recipe": recipe,
    }


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}
