"""The hackathon's submission: predictions, a README and a presentation in one ZIP."""

import io
import json
import math
import textwrap
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.files import atomic_write
from model.metadata import THRESHOLD
from training.data.errors import TrainingError
from training.data.reports import truncate_list
from training.evaluation.run_folder import read_report
from training.evaluation.validation_overlap import describe_overlap, has_unseen

MAX_LISTED = 5


class SubmissionError(TrainingError):
    """The submission is incomplete or invalid; the message has the reasons."""


def check_predictions(predictions: bytes, expected: list[str]) -> list[dict[str, Any]]:
    """The rows of a predictions file, `[{"image_id": ..., "prediction": ...}]`.

    expected: file names of the test pictures. Raises SubmissionError, which lists all errors, unless each
    is in the file exactly once, with a number in [0, 1], and no other picture is.
    """
    try:
        rows = json.loads(predictions)
    except ValueError as error:
        raise SubmissionError(f"the predictions are not JSON: {error}") from error
    if not isinstance(rows, list) or not all(
        isinstance(row, dict) and set(row) == {"image_id", "prediction"} for row in rows
    ):
        raise SubmissionError('the predictions must be a list of {"image_id": ..., "prediction": ...}')
    names = [str(row["image_id"]) for row in rows]
    errors = {
        "duplicate": {name for name in names if names.count(name) > 1},
        "missing": set(expected) - set(names),
        "not a test picture": set(names) - set(expected),
        "without a number in [0, 1]": {
            str(row["image_id"]) for row in rows if not _is_probability(row["prediction"])
        },
    }
    if any(errors.values()):
        parts = [f"{kind}: {truncate_list(sorted(ids), MAX_LISTED)}" for kind, ids in errors.items() if ids]
        hint = (
            ": `infer --missing 0.5` fills in for pictures that cannot be read" if errors["missing"] else ""
        )
        raise SubmissionError("; ".join(parts) + hint)
    return rows


def build_zip(
    path: Path,
    team: str,
    predictions: bytes,
    expected: list[str],
    run: Path,
    data: Path,
    remarks: Sequence[str] = (),
) -> None:
    """Check the predictions and write the ZIP to `path`. Raises SubmissionError.

    run: a run folder; `metrics.json` goes into the README, and all its files into the presentation.
    data: the data set of the run, whose validation pictures are shown in the presentation.
    remarks: sentences for the README on what the predictions are.
    """
    from training.submission.slides.presentation import presentation  # imports python-pptx

    rows = check_predictions(predictions, expected)
    report = read_run(run)
    slides = io.BytesIO()
    presentation(team, run, data, len(rows)).save(slides)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{team}_prediction.json", predictions)
        archive.writestr("README.md", _readme(team, report, rows, remarks))
        archive.writestr(f"{team}_presentation.pptx", slides.getvalue())


def read_run(run: Path) -> dict[str, Any]:
    """The `metrics.json` of a run folder. Raises SubmissionError if it is not one of `train`."""
    report = read_report(run)
    if not report:
        raise SubmissionError(f"{run} has no metrics.json: give the run folder of `train` as --run")
    if lacking := [name for name in ("recipe", "data", "validation") if name not in report]:
        raise SubmissionError(f"{run / 'metrics.json'} has no {', '.join(lacking)}: it is not of `train`")
    return report


def _is_probability(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= 1


def _readme(team: str, report: dict[str, Any], rows: list[dict[str, Any]], remarks: Sequence[str]) -> str:
    recipe = report["recipe"]
    above = sum(row["prediction"] >= THRESHOLD for row in rows)
    parts = [
        f"# {team}",
        f"`{team}_prediction.json` has {len(rows)} predictions, numbers from 0 to 1; {above} are 0.5 or more."
        f" `{team}_presentation.pptx` describes the method and the results.",
        *remarks,
        f"Model: ResNet18, recipe `{recipe['name']}`, initial weights `{recipe['init']}`, trained on "
        f"{report['data']['training']['pictures']} pictures. {_figures(report)}",
        *report.get("notes", ()),
        f'The pictures with label 1 ("real") in the training data are {report["data"]["label_1"]} pictures.',
    ]
    return "\n\n".join(textwrap.fill(part, 110, break_on_hyphens=False) for part in parts) + "\n"


def _figures(report: dict[str, Any]) -> str:
    """Accuracy and AUROC on the validation pictures, and how many the initial weights had seen.

    No accuracy is told where they had seen all.
    """
    overlap = describe_overlap(report)
    if not has_unseen(report):
        return overlap
    metrics = report["validation"]
    low, high = metrics["accuracy_interval"]
    return (
        f"On {metrics['pictures']} validation pictures that were held out from this training: accuracy "
        f"{metrics['accuracy']:.2%} (95 % interval {low:.2%} to {high:.2%}), AUROC {metrics['auroc']:.4f}. "
        f"{overlap}".rstrip()
    )
