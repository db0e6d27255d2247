"""The hackathon's submission: predictions, a README and a presentation in one ZIP."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

from model.files import atomic_write
from training.data.reports import truncate_list
from training.submission.slides import presentation

MAX_LISTED = 5


class SubmissionError(Exception):
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
        raise SubmissionError("; ".join(parts))
    return rows


def build_zip(path: Path, team: str, predictions: bytes, expected: list[str], run: Path) -> None:
    """Check the predictions and write the ZIP to `path`. Raises SubmissionError.

    run: a run folder; `metrics.json` and the plots go into the README and the presentation.
    """
    rows = check_predictions(predictions, expected)
    if not (run / "metrics.json").is_file():
        raise SubmissionError(f"{run} has no metrics.json: give the run folder of `train` as --run")
    report = json.loads((run / "metrics.json").read_text())
    slides = io.BytesIO()
    presentation(team, report, run, len(rows)).save(slides)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{team}_prediction.json", predictions)
        archive.writestr("README.md", _readme(team, report, rows))
        archive.writestr(f"{team}_presentation.pptx", slides.getvalue())


def _is_probability(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= 1


def _readme(team: str, report: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    metrics, recipe = report["validation"], report["recipe"]
    low, high = metrics["accuracy_interval"]
    above = sum(row["prediction"] >= 0.5 for row in rows)
    return f"""# {team}

`{team}_prediction.json` has {len(rows)} predictions, numbers from 0 to 1; {above} are 0.5 or more.
`{team}_presentation.pptx` describes the method and the results.

Model: ResNet18, recipe `{recipe["name"]}`, initial weights `{recipe["init"]}`, trained on
{report["data"]["training"]["pictures"]} pictures. On {metrics["pictures"]} validation pictures that it was
not trained on: accuracy {metrics["accuracy"]:.2%} (95 % interval {low:.2%} to {high:.2%}),
AUROC {metrics["auroc"]:.4f}.

The pictures with label 1 ("real") in the training data are {report["data"]["label_1"]} pictures.
"""
