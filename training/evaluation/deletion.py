"""Faithfulness of Grad-CAM heat maps: how far does the logit drop without the pixels they mark?

The deletion metric of Petsiuk et al. 2018, "RISE", BMVC, arXiv 1806.07421, at one fraction of pixels.
"""

from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from model.architecture import GRAD_CAM_LAYER
from model.predictor import Predictor
from training.evaluation.forward import forward
from training.evaluation.metrics import mean_interval
from training.progress import slices
from training.tables import number, table

SHARE = 0.2
PATCH = 4


def deletion(predictor: Predictor, images: np.ndarray, layer: str = GRAD_CAM_LAYER) -> dict[str, Any]:
    """How far the predicted label's logit drops when a fifth of each picture is blurred.

    images: uint8 of shape (N, size, size, 3), at the network's size, N at least 2. The fifth is, by key,
    `highest`: where the picture's own heat map (`model.grad_cam`) is highest; `other_picture`: where another
    picture's heat map is highest; `random_patches`: random patches of 4x4 pixels; `lowest`: where its own
    heat map is lowest. Each has the mean `drop` and its 95 % `drop_interval`, in calibrated logits.
    """
    random = np.random.default_rng(0)
    z, _ = forward(predictor, images, "deletion: logits")
    predictions = predictor.metadata.probability(z)
    sign = predictor.metadata.target_sign(predictions)
    heat_maps = np.concatenate(
        [
            predictor.explain(images[part], layer, predictions[part])
            for part in slices(len(images), predictor.batch_size, "deletion: heat maps")
        ]
    )
    calibrate = predictor.metadata.calibration
    blurred = np.stack([_blur(image) for image in images])
    rankings: dict[str, np.ndarray] = {
        "highest": heat_maps,
        "other_picture": np.roll(heat_maps, -(len(heat_maps) // 2), axis=0),
        "random_patches": _random_patches(random, heat_maps.shape),
        "lowest": -heat_maps,
    }
    result: dict[str, Any] = {"layer": layer, "share": SHARE, "pictures": len(images)}
    for name, ranking in rankings.items():
        deleted = np.where(_top_mask(ranking)[..., None], blurred, images)
        z_deleted, _ = forward(predictor, deleted, f"deletion: {name.replace('_', ' ')}")
        drop = sign * (calibrate(z) - calibrate(z_deleted))
        mean, interval = mean_interval(drop)
        result[name] = {"drop": mean, "drop_interval": interval}
    return result


def describe(result: dict[str, Any]) -> str:
    """The result of `deletion` as a table."""
    titles = {
        "highest": "heat map highest",
        "other_picture": "another picture's heat map highest",
        "random_patches": "random patches",
        "lowest": "heat map lowest",
    }
    rows = [
        (title, *number(result[name]["drop"], result[name]["drop_interval"]))
        for name, title in titles.items()
    ]
    header = (f"blurred fifth, Grad-CAM at {result['layer']}", "drop of the logit", "95 % interval")
    return table(rows, header, "<><")


def _top_mask(ranking: np.ndarray) -> np.ndarray:
    """The highest fifth of each picture's values, bool of the same shape (N, H, W)."""
    flat = ranking.reshape(len(ranking), -1)
    count = round(SHARE * flat.shape[1])
    mask = np.zeros(flat.shape, bool)
    np.put_along_axis(mask, np.argsort(-flat, axis=1, kind="stable")[:, :count], True, axis=1)
    return mask.reshape(ranking.shape)


def _random_patches(random: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    count, height, width = shape
    coarse = random.random((count, -(-height // PATCH), -(-width // PATCH)))
    return coarse.repeat(PATCH, axis=1).repeat(PATCH, axis=2)[:, :height, :width]


def _blur(picture: np.ndarray) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(3)))
