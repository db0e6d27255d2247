"""Versions of the checkpoint format, and the upgrade of old ones."""

import re
from typing import Any

FORMAT = "cifake-checkpoint/2"
_FORMAT_1 = "cifake-checkpoint/1"

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
# In version 1, int8 ranges name the operations of the graph that OpenVINO converted from a traced module.
_TRACED = re.compile(r"__module\.network\.([\w.]+)/aten::(\w+)/\w+")
_OTHER_TRACED = {
    "aten::mean/ReduceMean": "stem.mean",
    "aten::mean/ReduceMean_1": "layer1.mean",
    "aten::mean/ReduceMean_2": "layer2.mean",
    "aten::mean/ReduceMean_3": "layer3.mean",
    "aten::flatten/Reshape": "flatten",
}


def is_checkpoint(content: dict[str, Any]) -> bool:
    """Whether the content of a file is a checkpoint of a supported version."""
    return content.get("format") in (FORMAT, _FORMAT_1)


def upgrade(content: dict[str, Any]) -> dict[str, Any]:
    """Convert the content of a checkpoint to the current version.

    Raises KeyError if a key is missing, and ValueError for a threshold other than 0.5 in version 1.
    """
    if content["format"] == FORMAT:
        return content
    if content["threshold"] != 0.5:
        raise ValueError(
            f"a threshold of {content['threshold']} is not supported: calibrate the model instead"
        )
    recipe = _rename_keys(content["recipe"], _RECIPE)
    if "augmentation" in recipe:
        recipe["augmentation"] = _rename_keys(recipe["augmentation"], _AUGMENTATION)
    detector = content.get("domain")
    return content | {
        "format": FORMAT,
        "positive_class": content["positive"],
        "ood_detector": detector and _rename_keys(detector, {"middle": "mean"}),
        "int8": [
            range_ | {"operation": _operation_name(range_["operation"])} for range_ in content.get("int8", ())
        ],
        "recipe": recipe,
    }


def _rename_keys(values: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in values.items()}


def _operation_name(traced: str) -> str:
    """The name in model.engines.openvino_graph of an operation of the traced graph."""
    match_ = _TRACED.fullmatch(traced)
    if not match_:
        return _OTHER_TRACED.get(traced, traced)
    module, kind = match_.groups()
    match kind:
        case "_convolution" | "max_pool2d" | "linear":
            return module
        case "add_":
            return f"{module}.add"
        case "adaptive_avg_pool2d":  # avgpool is a Sequential of pooling and dropout
            return "avgpool"
    return traced
