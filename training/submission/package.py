"""The hackathon's submission: predictions, a README and a presentation in one ZIP."""

import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

from model.files import atomically
from training.data.reports import listed
from training.submission.slides import presentation

MAX_LISTED = 5


class SubmissionError(Exception):
    """The submission cannot be made, or would not be accepted; the message says why."""


def check(predictions: bytes, expected: list[str]) -> list[dict[str, Any]]:
    """The rows of a file of predictions that names each of the `expected` pictures once.

    Raises SubmissionError that names all that is wrong: other JSON than
    `[{"image_id": ..., "prediction": ...}]`, a picture twice, missing or unknown, a number that is none
    or outside [0, 1].
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
    faults = {
        "named twice": {name for name in names if names.count(name) > 1},
        "missing": set(expected) - set(names),
        "not a test picture": set(names) - set(expected),
        "without a number in [0, 1]": {
            str(row["image_id"]) for row in rows if not _is_probability(row["prediction"])
        },
    }
    if any(faults.values()):
        told = [f"{fault}: {listed(sorted(found), MAX_LISTED)}" for fault, found in faults.items() if found]
        raise SubmissionError("; ".join(told))
    return rows


def build(path: Path, team: str, predictions: bytes, expected: list[str], run: Path) -> None:
    """Check the predictions and write the ZIP to `path`. Raises SubmissionError.

    run: a run folder with `metrics.json`, `history.csv` and the plots, which the presentation and
    the README tell of.
    """
    rows = check(predictions, expected)
    if not (run / "metrics.json").is_file():
        raise SubmissionError(f"{run} holds no metrics.json: name the run folder of a training with --run")
    report = json.loads((run / "metrics.json").read_text())
    slides = io.BytesIO()
    presentation(team, report, run, len(rows)).save(slides)
    with atomically(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(f"{team}_prediction.json", predictions)
        archive.writestr("README.md", _readme(team, report, rows))
        archive.writestr(f"{team}_presentation.pptx", slides.getvalue())


def _is_probability(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return math.isfinite(value) and 0 <= value <= 1


def _readme(team: str, report: dict[str, Any], rows: list[dict[str, Any]]) -> str:
    scores, recipe = report["validation"], report["recipe"]
    low, high = scores["accuracy_interval"]
    above = sum(row["prediction"] >= 0.5 for row in rows)
    return f"""# {team}

`{team}_prediction.json` holds {len(rows)} predictions, numbers from 0 to 1; {above} are 0.5 or more.
`{team}_presentation.pptx` tells how they were made.

Model: ResNet18, recipe `{recipe["name"]}`, first weights `{recipe["init"]}`, trained on
{report["data"]["training"]["pictures"]} pictures. On {scores["pictures"]} validation pictures that it was
not trained on: accuracy {scores["accuracy"]:.2%} (95 % interval {low:.2%} to {high:.2%}),
AUROC {scores["auroc"]:.4f}.

Label 1 ("real") of the training data is {report["data"]["label_1"]} by what its pictures show.
"""
