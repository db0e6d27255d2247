"""The hackathon's submission as one ZIP: predictions, README, model card, slides, plots and notebooks."""

import io
import json
import math
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model import ROOT
from model.files import atomic_write
from model.metadata import THRESHOLD
from training.data.errors import TrainingError
from training.data.reports import truncate_list
from training.evaluation.figures import render
from training.evaluation.plots import run_plots
from training.evaluation.run_folder import read_report
from training.submission.model_card import model_card
from training.submission.readme import NOTEBOOKS, readme

MAX_LISTED = 5
NOTEBOOK_FOLDER = ROOT / "training" / "notebooks"


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
    rows: list[dict[str, Any]],
    report: dict[str, Any],
    run: Path,
    data: Path,
    remarks: Sequence[str] = (),
) -> None:
    """Write the ZIP to `path`.

    predictions, rows: a predictions file's content, and what `check_predictions` found in it. report: what
    `read_run` found in the run folder.
    run: a run folder; README and model card are of its `metrics.json`, plots and slides of all its files.
    data: the data set of the run, whose validation pictures are shown in the presentation.
    remarks: sentences for the README on what the predictions are.
    """
    from training.submission.slides.presentation import presentation  # imports python-pptx

    slides = io.BytesIO()
    presentation(team, run, data, len(rows)).save(slides)
    plots = {name: render(draw) for name, draw in run_plots(run).items()}
    above = sum(row["prediction"] >= THRESHOLD for row in rows)
    files = {
        "README.md": readme(team, report, len(rows), above, plots, remarks).encode(),
        "MODEL_CARD.md": model_card(team, report).encode(),
        f"{team}_prediction.json": predictions,
        f"{team}_presentation.pptx": slides.getvalue(),
        **{f"plots/{name}.png": png for name, png in plots.items()},
        **{f"notebooks/{name}": (NOTEBOOK_FOLDER / name).read_bytes() for name in NOTEBOOKS},
    }
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)


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
