"""What a run says of validation pictures that its initial weights were trained on."""

from typing import Any

import numpy as np

from model.metadata import THRESHOLD
from training.evaluation.metrics import wilson_interval

OF = "the initial weights' training data"


def overlap_metrics(seen: np.ndarray | None, predictions: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """The entries `validation_overlap` and `validation_unseen` of a run's metrics.

    seen: whether the initial weights were fitted to each picture, bool of shape (N,); None if unknown.
    predictions: P(label 1) in [0, 1], of shape (N,). labels: 0 or 1, of shape (N,).
    `validation_overlap` is None if it is unknown. `validation_unseen` is the accuracy on the other pictures,
    with its 95 % interval; it is left out where there is no overlap, or no other picture.
    """
    if seen is None:
        return {"validation_overlap": None}
    count = int(seen.sum())
    metrics: dict[str, Any] = {"validation_overlap": {"count": count, "total": len(seen), "of": OF}}
    if 0 < count < len(seen):
        right = ((predictions >= THRESHOLD) == (labels == 1))[~seen]
        metrics["validation_unseen"] = {
            "pictures": len(right),
            "accuracy": float(right.mean()),
            "accuracy_interval": list(wilson_interval(int(right.sum()), len(right))),
        }
    return metrics


def has_unseen(metrics: dict[str, Any]) -> bool:
    """Whether some validation pictures are, as far as is known, new to the initial weights."""
    overlap = metrics.get("validation_overlap")
    return not overlap or overlap["count"] < overlap["total"]


def describe_overlap(metrics: dict[str, Any]) -> str:
    """What `overlap_metrics` found, as sentences; empty for a run from random weights."""
    if "validation_overlap" not in metrics:
        return ""
    overlap = metrics["validation_overlap"]
    if overlap is None:
        return "It is not known what the initial weights were trained on: these pictures may be among it."
    count, total = overlap["count"], overlap["total"]
    text = f"{count} of the {total} validation pictures stand in {overlap['of']}."
    if not count:
        return text
    if "validation_unseen" not in metrics:
        return f"{text} So this run has no figure for unseen pictures."
    unseen = metrics["validation_unseen"]
    low, high = unseen["accuracy_interval"]
    return (
        f"{text} On the other {unseen['pictures']}: accuracy {unseen['accuracy']:.2%} "
        f"(95 % interval {low:.2%} to {high:.2%})."
    )
