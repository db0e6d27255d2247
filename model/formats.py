"""Versions of the checkpoint file, and what brings an older one to the newest."""

import re
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
# The int8 ranges of version 1 are of the graph that OpenVINO made of a traced module of PyTorch.
_TRACED = re.compile(r"__module\.network\.([\w.]+)/aten::(\w+)/\w+")
_TRACED_OTHERS = {
    "aten::mean/ReduceMean": "stem.mean",
    "aten::mean/ReduceMean_1": "layer1.mean",
    "aten::mean/ReduceMean_2": "layer2.mean",
    "aten::mean/ReduceMean_3": "layer3.mean",
    "aten::flatten/Reshape": "flatten",
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
        "int8": [one | {"operation": _operation(one["operation"])} for one in content.get("int8", ())],
        "recipe": recipe,
    }


def _renamed(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _operation(traced: str) -> str:
    """The name of an operation in model.engines.openvino_graph, by its name in the traced graph."""
    found = _TRACED.fullmatch(traced)
    if not found:
        return _TRACED_OTHERS.get(traced, traced)
    module, kind = found.groups()
    match kind:
        case "_convolution" | "max_pool2d" | "linear":
            return module
        case "add_":
            return f"{module}.add"
        case "adaptive_avg_pool2d":  # the first of two modules before a linear head: the other is a dropout
            return "avgpool"
    return traced
