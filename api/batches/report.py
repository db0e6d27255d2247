"""What a batch answers with: the hackathon's JSON, CSV, and a form with unreadable files and a summary."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from api.batches.classify import FileResult
from api.batches.options import BatchOptions
from api.errors import BrokenProblem
from model import predictions
from model.metadata import THRESHOLD, CheckpointMetadata

DETAIL_TYPE = "application/vnd.cifake+json"
MAX_LISTED_ERRORS = 20


@dataclass(frozen=True)
class BatchReport:
    """predictions: the hackathon's JSON. unreadable: (path, reason) of other files. summary: plain values."""

    predictions: bytes
    unreadable: list[tuple[str, str]]
    summary: dict[str, Any]

    def detailed(self) -> bytes:
        """JSON with `predictions`, `unreadable` and `summary`."""
        unreadable = json.dumps(predictions.unreadable_rows(self.unreadable)).encode()
        return detailed(self.predictions, unreadable, json.dumps(self.summary).encode())


def make_report(
    results: Iterable[FileResult], options: BatchOptions, model: CheckpointMetadata, seconds: float
) -> BatchReport:
    """The report of a batch that took `seconds`. Raises BrokenProblem if no picture is readable."""
    rows: list[predictions.Row] = []
    unreadable: list[tuple[str, str]] = []
    reasons: Counter[str | None] = Counter()
    for result in results:
        if result.prediction is None:
            unreadable.append((result.path, result.error or ""))
        else:
            rows.append((options.image_id(result.path), result.prediction))
            reasons[result.out_of_domain] += 1
    if not rows:
        raise BrokenProblem(
            _no_pictures_message(unreadable),
            unreadable=predictions.unreadable_rows(unreadable[:MAX_LISTED_ERRORS]),
        )
    real = sum(prediction >= THRESHOLD for _, prediction in rows)
    summary = {
        "files": len(rows) + len(unreadable),
        "pictures": len(rows),
        "unreadable": len(unreadable),
        "real": real,
        "fake": len(rows) - real,
        "out_of_domain": {"size": reasons["size"], "content": reasons["content"]},
        "positive": options.positive,
        "label_1_in_training_data": model.positive_class,
        "label_1_assumed": model.positive_class_assumed,
        "model": model.short_digest,
        "seconds": round(seconds, 3),
    }
    return BatchReport(predictions.encode(rows, options.positive), unreadable, summary)


def summary_headers(summary: dict[str, Any]) -> dict[str, str]:
    """The headers of a batch's answer.

    X-Label-1-In-Training-Data is a token with a parameter (RFC 9651): `REAL`, or `REAL; assumed` where the
    checkpoint does not say it.
    """
    domain = summary["out_of_domain"]
    return {
        "X-Unreadable-Count": str(summary["unreadable"]),
        "X-Out-Of-Domain-Count": str(domain["size"] + domain["content"]),
        "X-Out-Of-Domain-Size-Count": str(domain["size"]),
        "X-Prediction": f"P({summary['positive']})",
        "X-Label-1-In-Training-Data": summary["label_1_in_training_data"]
        + "; assumed" * summary["label_1_assumed"],
    }


def detailed(predictions_json: bytes, unreadable_json: bytes, summary_json: bytes) -> bytes:
    """One JSON object of three JSON texts."""
    return b'{"predictions": %b, "unreadable": %b, "summary": %b}' % (
        predictions_json,
        unreadable_json,
        summary_json,
    )


def to_csv(predictions_json: bytes) -> bytes:
    """The hackathon's JSON as CSV (RFC 4180) in UTF-8, with the header `image_id,prediction`."""
    file = io.StringIO(newline="")
    writer = csv.writer(file)
    writer.writerow(("image_id", "prediction"))
    writer.writerows((row["image_id"], row["prediction"]) for row in json.loads(predictions_json))
    return file.getvalue().encode()


def _no_pictures_message(unreadable: list[tuple[str, str]]) -> str:
    if not unreadable:
        return "there is no file in this upload"
    return f"none of the {len(unreadable)} files could be read as a picture"
