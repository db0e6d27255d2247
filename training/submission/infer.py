"""Predictions for a folder of pictures, for the hackathon's submission."""

from dataclasses import dataclass
from pathlib import Path

from model.predictions import Row
from model.predictor import Predictor
from training.data.labelled_images import DataError, picture_files
from training.evaluation.answers import Unreadable, answer_files


@dataclass(frozen=True)
class InferenceResult:
    """rows: (file name, P(REAL)); unreadable: (file name, reason) of the files that cannot be decoded."""

    rows: list[Row]
    unreadable: list[tuple[str, str]]


def infer(folder: Path, predictor: Predictor) -> InferenceResult:
    """P(REAL) of every picture in `folder`. Raises DataError if no picture can be decoded."""
    if not folder.is_dir():
        raise DataError(f"there is no folder {folder}")
    files = picture_files(folder)
    rows: list[Row] = []
    unreadable: list[tuple[str, str]] = []
    for answer in answer_files(files, predictor):
        if isinstance(answer, Unreadable):
            unreadable.append((answer.path.name, answer.reason))
        else:
            rows.append((answer.path.name, answer.prediction))
    if not rows:
        raise DataError(f"{folder} has no readable picture among {len(files)} picture files")
    return InferenceResult(rows, unreadable)
