"""What a batch answers with: the hackathon's JSON, CSV, and a form with unreadable files and a summary."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from api.batches.classify import FileResult
from api.batches.options import BatchOptions
from api.errors import BrokenProblem
from model import predictions
from model.metadata import THRESHOLD, CheckpointMetadata, Label

DETAIL_TYPE = "application/vnd.cifake+json"
PARTS = ("predictions", "unreadable", "out_of_domain", "summary")
MAX_LISTED_ERRORS = 20

Parts = Mapping[str, bytes]
"""Parts of a report by their names, each a JSON text."""


@dataclass(frozen=True)
class BatchReport:
    """predictions: the hackathon's JSON. unreadable: (path, reason) of other files. out_of_domain: (image_id,
    reason) of pictures, in the order of the predictions. summary: plain values."""

    predictions: bytes
    unreadable: list[tuple[str, str]]
    out_of_domain: list[tuple[str, str]]
    summary: dict[str, Any]

    @property
    def parts(self) -> Parts:
        """Each as JSON."""
        return {
            "predictions": self.predictions,
            "unreadable": json.dumps(predictions.unreadable_rows(self.unreadable)).encode(),
            "out_of_domain": json.dumps(
                [{"image_id": image_id, "reason": reason} for image_id, reason in self.out_of_domain]
            ).encode(),
            "summary": json.dumps(self.summary).encode(),
        }


def make_report(
    results: Iterable[FileResult], options: BatchOptions, model: CheckpointMetadata, seconds: float
) -> BatchReport:
    """The report of a batch that took `seconds`. Raises BrokenProblem if no picture is readable."""
    rows: list[predictions.Row] = []
    unreadable: list[tuple[str, str]] = []
    out_of_domain: list[tuple[str, str]] = []
    for result in results:
        if result.prediction is None:
            unreadable.append((result.path, result.error or ""))
        else:
            name = options.image_id(result.path)
            rows.append((name, result.prediction))
            if result.out_of_domain:
                out_of_domain.append((predictions.image_id(name), result.out_of_domain))
    if not rows:
        raise BrokenProblem(
            _no_pictures_message(unreadable),
            unreadable=predictions.unreadable_rows(unreadable[:MAX_LISTED_ERRORS]),
        )
    out_of_domain.sort(key=lambda row: predictions.natural_key(row[0]))
    reasons = Counter(reason for _, reason in out_of_domain)
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
    return BatchReport(predictions.encode(rows, options.positive), unreadable, out_of_domain, summary)


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


def detailed(parts: Parts) -> bytes:
    """One JSON object of all parts."""
    return b"{%b}" % b", ".join(b'"%b": %b' % (name.encode(), parts[name]) for name in PARTS)


def with_positive(parts: Parts, positive: Label) -> Parts:
    """The parts as they would be if `prediction` had been asked to be the probability of this label.

    Predictions have six digits, and so has the one of the other label: nothing is lost on the way back.
    """
    summary = json.loads(parts["summary"])
    if summary["positive"] == positive:
        return parts
    rows = json.loads(parts["predictions"])
    for row in rows:
        row["prediction"] = round(1 - row["prediction"], 6)
    summary["positive"] = positive
    return {
        **parts,
        "predictions": json.dumps(rows).encode(),
        "summary": json.dumps(summary).encode(),
    }


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
