"""Passes of many pictures through a network, with their progress."""

import numpy as np

from model.ood import OodFeatures
from model.predictor import Predictor
from training.progress import slices


def forward(predictor: Predictor, images: np.ndarray, description: str) -> tuple[np.ndarray, OodFeatures]:
    """What `Predictor.forward` returns of images, uint8 of shape (N, H, W, 3), N at least 1."""
    parts = [
        predictor.forward(images[part]) for part in slices(len(images), predictor.batch_size, description)
    ]
    features = (np.concatenate(kind) for kind in zip(*(found for _, found in parts), strict=True))
    return np.concatenate([z for z, _ in parts]), OodFeatures(*features)
