"""What the slides of a run are made from: its files, and its validation pictures where they are found."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from model.metadata import Label
from training.data.labelled_images import DataError
from training.evaluation.audit import Audit
from training.evaluation.figures import Draw
from training.evaluation.plots import run_plots
from training.evaluation.run_folder import Columns, Validation, read_history, read_report, read_validation
from training.fitting.run import audit_labels
from training.submission.slides.pictures import draw_quiz, load_predictor, load_validation_pictures

REQUIRED = ("recipe", "data", "best_epoch", "seconds", "validation")  # of metrics.json


@dataclass(frozen=True)
class Pictures:
    """The validation pictures, and what models say of them.

    images: uint8 of shape (N, size, size, 3). validation: their labels and predictions, in the same order.
    label_check: what the shipped model says of their labels; None if there is no such model.
    quiz: indices of six of them, see `draw_quiz`; or none.
    heat: heat maps of these by the run's model, float32 of shape (len(quiz), size, size) in [0, 1]; or None.
    """

    images: np.ndarray
    validation: Validation
    label_check: Audit | None
    quiz: np.ndarray
    heat: np.ndarray | None


@dataclass(frozen=True)
class Facts:
    """What is known of a run.

    predicted: number of test pictures that were predicted. report: the run's `metrics.json`. history: the
    contents of `history.csv`. plots: see `run_plots`.
    missing: why pictures or heat maps are not there, as parts of sentences.
    """

    team: str
    predicted: int
    report: dict[str, Any]
    history: Columns | None
    plots: dict[str, Draw]
    pictures: Pictures | None
    missing: tuple[str, ...] = ()

    @property
    def metrics(self) -> dict[str, Any]:
        """The metrics on the validation pictures."""
        metrics: dict[str, Any] = self.report["validation"]
        return metrics

    @property
    def label_1(self) -> Label:
        """What label 1 of the data means in truth."""
        label: Label = self.report["data"]["label_1"]
        return label

    @property
    def overlap(self) -> str:
        """How many validation pictures stand in other training data, as a sentence; empty if unknown."""
        found = self.report.get("validation_overlap")
        if not found:
            return ""
        return f"{found['count']} of the {found['total']} validation pictures stand in {found['of']}."


def collect(team: str, run: Path, data: Path, predicted: int) -> Facts:
    """The facts of a run folder, whose data set is in `data`.

    Raises DataError if it is not a run folder of `train`.
    """
    report = read_report(run)
    if lacking := [name for name in REQUIRED if name not in report]:
        raise DataError(f"{run / 'metrics.json'} has no {', '.join(lacking)}: give the run folder of `train`")
    validation = read_validation(run)
    pictures, missing = None, [f"there is no {run / 'validation.csv'}"]
    if validation is not None:
        try:
            pictures, missing = _collect_pictures(run, data, report, validation)
        except DataError as error:
            missing = [str(error)]
    return Facts(team, predicted, report, read_history(run), run_plots(run), pictures, tuple(missing))


def _collect_pictures(
    run: Path, data: Path, report: dict[str, Any], validation: Validation
) -> tuple[Pictures, list[str]]:
    pictures = load_validation_pictures(data, report, validation)
    images, label_check = pictures.images, audit_labels(pictures, "auto")
    quiz = draw_quiz(validation.is_real, report["recipe"].get("seed", 0))
    predictor = load_predictor(run, report["validation"])
    missing = []
    if not len(quiz):
        missing.append("a class has too few validation pictures for a quiz")
    if predictor is None:
        missing.append(f"{run} has no checkpoint with the metrics of its metrics.json")
    heat = predictor.explain(images[quiz]) if predictor is not None and len(quiz) else None
    return Pictures(images, validation, label_check, quiz, heat), missing
