"""Predictions for a folder of pictures, as the hackathon wants them."""

from dataclasses import dataclass
from pathlib import Path

from model.predictions import Row
from model.predictor import Predictor
from training.data.labelled_images import DataError, picture_files, read_images

CHUNK = 256


@dataclass(frozen=True)
class Inferred:
    """rows: (file name, P(REAL)); unreadable: (file name, reason) of the files that were left out."""

    rows: list[Row]
    unreadable: list[tuple[str, str]]


def infer(folder: Path, predictor: Predictor) -> Inferred:
    """P(REAL) of every picture in `folder`. Raises DataError where there is none that can be read."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    files = picture_files(folder)
    rows: list[Row] = []
    unreadable: list[tuple[str, str]] = []
    for start in range(0, len(files), CHUNK):
        part = files[start : start + CHUNK]
        images, kept, broken = read_images(part, folder, predictor.preprocess)
        rows += zip([part[i].name for i in kept], predictor.predict_proba(images).tolist(), strict=True)
        unreadable += broken
    if not rows:
        raise DataError(f"{folder} holds no picture that can be read, of {len(files)} files")
    return Inferred(rows, unreadable)
