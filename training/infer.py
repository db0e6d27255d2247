"""Predictions for a folder of pictures, as the hackathon wants them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from model.images import ImageError, decode
from model.predictions import Row
from model.predictor import Predictor
from training.data import DataError, picture_files

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
        names: list[str] = []
        pictures: list[np.ndarray] = []
        for path in files[start : start + CHUNK]:
            try:
                pictures.append(decode(path.read_bytes(), shrink=predictor.preprocess.resize).pixels)
                names.append(path.name)
            except (ImageError, OSError) as error:
                unreadable.append((path.name, str(error)))
        rows += [(name, float(p)) for name, p in zip(names, predictor.predict(pictures), strict=True)]
    if not rows:
        raise DataError(f"{folder} holds no picture that can be read, of {len(files)} files")
    return Inferred(rows, unreadable)
