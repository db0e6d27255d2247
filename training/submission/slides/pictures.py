"""The validation pictures of a run: found again, drawn by lot, enlarged, and with their heat maps."""

import io
from pathlib import Path
from typing import Any, get_args

import numpy as np
from PIL import Image

from model.images.preprocess import Preprocess
from model.metadata import CheckpointError
from model.predictor import Predictor
from training.data.datasets import detect_layout, load_train
from training.data.hackathon import Target
from training.data.labelled_images import DataError, LabelledImages
from training.evaluation import contact_sheet, heat_maps
from training.evaluation.run_folder import Validation

QUIZ = 3  # pictures of each class
ENLARGED = 384  # pixels


def load_validation_pictures(data: Path, report: dict[str, Any], validation: Validation) -> LabelledImages:
    """The pictures of `validation`, in its order, from the data set, at the size of the run's network.

    report: the run's `metrics.json`. Raises DataError unless they are the ones that the run was validated
    with, by their digest.
    """
    preprocess = Preprocess(report["recipe"]["preprocess"]["size"])
    targets: tuple[Target, ...] = get_args(Target) if detect_layout(data) == "hackathon tree" else ("folder",)
    for target in targets:  # metrics.json has no record of it, but the digest is of the labels too
        pictures = load_train(data, preprocess, target).pictures
        positions = {name: i for i, name in enumerate(pictures.names)}
        index = [positions[name] for name in validation.names if name in positions]
        found = pictures.select(np.array(index, int))
        if found.digest() == report["data"]["validation"].get("sha256"):
            return found
    raise DataError(f"the pictures in {data} are not those that the run was validated with")


def draw_quiz(is_real: np.ndarray, seed: int) -> np.ndarray:
    """Indices of three pictures of each class, drawn by lot, in random order; none if a class has fewer.

    is_real: bool of shape (N,).
    """
    random = np.random.default_rng(seed)
    classes = [np.flatnonzero(is_real == real) for real in (True, False)]
    if min(len(index) for index in classes) < QUIZ:
        return np.empty(0, int)
    return random.permutation(
        np.concatenate([random.choice(index, QUIZ, replace=False) for index in classes])
    )


def confident_errors(validation: Validation, count: int) -> np.ndarray:
    """Indices of at most `count` pictures that are answered wrong, from the highest confidence in it on."""
    wrong = np.flatnonzero(validation.answers_real != validation.is_real)
    confidence = np.abs(validation.p_real[wrong] - 0.5)
    return wrong[np.argsort(-confidence, kind="stable")[:count]]


def load_predictor(run: Path, validation_metrics: dict[str, Any]) -> Predictor | None:
    """The checkpoint in a run folder that has these validation metrics; None if there is none."""
    for path in sorted(run.glob("*.pth")):
        try:
            predictor = Predictor.load(path)
        except CheckpointError:
            continue
        if predictor.metadata.metrics.get("validation") == validation_metrics:
            return predictor
    return None


def enlarge(image: np.ndarray) -> bytes:
    """A PNG of an image, uint8 of shape (H, W, 3), with its pixels as squares."""
    return _png(contact_sheet.enlarge(image, ENLARGED))


def mosaic(images: np.ndarray, columns: int) -> bytes:
    """A PNG of images, uint8 of shape (N, H, W, 3), in rows of `columns`, of which N is a multiple."""
    rows = [np.concatenate(list(row), axis=1) for row in images.reshape(-1, columns, *images.shape[1:])]
    sheet = Image.fromarray(np.concatenate(rows))
    scale = max(1, ENLARGED // 2 // images.shape[2])
    return _png(sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST))


def overlay(image: np.ndarray, heat: np.ndarray) -> bytes:
    """A PNG of an image, uint8 of shape (H, W, 3), under its heat map, float of shape (H, W) in [0, 1]."""
    return _png(heat_maps.overlay(image, heat, ENLARGED))


def _png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
