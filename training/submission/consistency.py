"""Whether predictions fit the run that they are submitted with: its model, and what its label 1 means."""

import json
import shlex
from pathlib import Path
from typing import Any

from model.metadata import THRESHOLD, Label, digest_of
from model.predictions import image_id
from model.predictor import Predictor
from training.submission.infer import infer
from training.submission.origin import mismatches, read_origin
from training.submission.package import SubmissionError


def find_checkpoint(run: Path, report: dict[str, Any]) -> Path | None:
    """The checkpoint in a run folder that its `metrics.json` is of; None if it is not there."""
    paths = sorted(run.glob("*.pth"))
    return next((path for path in paths if digest_of(path) == report.get("model_sha256")), None)


def check_consistency(
    path: Path, predictions: bytes, run: Path, report: dict[str, Any], test: Path, force: bool
) -> list[str]:
    """Compare a prediction file with the run that it is submitted with. Returns remarks for the README.

    path, predictions: the file and its content, whose rows are valid. report: the run's `metrics.json`.
    test: the folder of the test pictures. force: whether what does not fit becomes a remark.
    A file without the record of `infer`, such as the service's, is compared with what the run's model says of
    the same pictures: it is the wrong way round if it agrees on less than half of them.
    Raises SubmissionError for what does not fit.
    """
    origin, checkpoint = read_origin(path, predictions), find_checkpoint(run, report)
    label_1 = report["data"]["label_1"]
    remarks: list[str] = []
    if origin:
        found = mismatches(origin, report)
        if origin.missing:
            remarks.append(f"{origin.missing} test pictures could not be read: they have a fixed prediction.")
    elif checkpoint:
        agreement = _agreement(json.loads(predictions), checkpoint, test, label_1)
        found = []
        if agreement < 0.5:
            found.append(f"they agree with the run's model on {agreement:.1%} of the pictures only")
        remarks.append(
            f"The predictions have no record of their model; the run's model decides {agreement:.1%} of them "
            "likewise."
        )
    else:
        found = []
        remarks.append(
            "The predictions have no record of their model, and the run no checkpoint to compare them with: "
            "only names and numbers were checked."
        )
    if not found:
        return remarks
    reasons = ", and ".join(found)
    if not force:
        model = checkpoint or run / "cifake_model.pth"
        team = path.name.removesuffix("_prediction.json")
        raise SubmissionError(
            f"{path} does not fit the run {run}: {reasons}. Run `python -m training infer {test} --team "
            f"{shlex.quote(team)} --positive {label_1} --model {model} --out {path.parent}`, or insist with "
            "--force"
        )
    return [*remarks, f"Packed with --force, although the predictions do not fit the run: {reasons}."]


def _agreement(rows: list[dict[str, Any]], checkpoint: Path, test: Path, label_1: Label) -> float:
    """The share, in [0, 1], of the readable pictures that the checkpoint decides as the predictions do."""
    given = {row["image_id"]: row["prediction"] >= THRESHOLD for row in rows}
    answers = infer(test, Predictor.load(checkpoint)).rows
    same = [
        given[image_id(name)] == ((p if label_1 == "REAL" else 1 - p) >= THRESHOLD) for name, p in answers
    ]
    return sum(same) / len(same)
