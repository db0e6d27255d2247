"""Do heat maps point at what matters? What is said is held against what happens when it is taken away.

The deletion test of Petsiuk et al. 2018, "RISE", BMVC, arXiv 1806.07421, at one share of pixels.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from model.architecture import LAYER
from model.predictor import Predictor
from training.evaluation.metrics import mean_interval

SHARE = 0.2
PATCH = 4


def deletion(predictor: Predictor, images: np.ndarray, layer: str = LAYER) -> dict[str, Any]:
    """How far the answered label's logit falls when a fifth of each picture is blurred away.

    images: uint8 of shape (N, size, size, 3), at the network's size, N at least 2. `hottest`: the fifth that
    the picture's own heat map (model.grad_cam) points at. `elsewhere`: as large a part of the same shapes,
    by the heat map of another picture. `patches`: random patches of 4x4 pixels. `coldest`: where the map is
    lowest. Each with the mean fall and its 95 % interval, in calibrated logits.
    """
    random = np.random.default_rng(0)
    z = predictor.logits(images)
    predictions = predictor.metadata.probability(z)
    sign = predictor.metadata.label_sign(predictions)
    heat = predictor.explain(images, layer, predictions)
    calibrated = predictor.metadata.calibration
    blurred = np.stack([_blurred(image) for image in images])
    parts: dict[str, np.ndarray] = {
        "hottest": heat,
        "elsewhere": np.roll(heat, -(len(heat) // 2), axis=0),
        "patches": _patches(random, heat.shape),
        "coldest": -heat,
    }
    found: dict[str, Any] = {"layer": layer, "share": SHARE, "pictures": len(images)}
    for name, order in parts.items():
        without = np.where(_top(order)[..., None], blurred, images)
        fall = sign * (calibrated(z) - calibrated(predictor.logits(without)))
        mean, interval = mean_interval(fall)
        found[name] = {"fall": mean, "interval": interval}
    return found


def describe(found: dict[str, Any]) -> str:
    """The figures of `deletion` for people."""
    lines = [
        f"fall of the answered label's logit without a fifth of the picture, Grad-CAM at {found['layer']}:"
    ]
    for name in ("hottest", "elsewhere", "patches", "coldest"):
        low, high = found[name]["interval"]
        lines.append(f"  {name:10} {found[name]['fall']:6.2f}  ({low:.2f} to {high:.2f})")
    return "\n".join(lines)


def _top(order: np.ndarray) -> np.ndarray:
    """The highest fifth of each map, bool of the maps' shape (N, H, W)."""
    flat = order.reshape(len(order), -1)
    count = round(SHARE * flat.shape[1])
    chosen = np.zeros(flat.shape, bool)
    np.put_along_axis(chosen, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return chosen.reshape(order.shape)


def _patches(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    count, height, width = shape
    coarse = random.random((count, -(-height // PATCH), -(-width // PATCH)))
    return coarse.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[:, :height, :width]


def _blurred(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)))
