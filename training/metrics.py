"""How good predictions are: accuracy with its interval, ranking, calibration, confusion."""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, roc_auc_score

BINS = 15


def score(predictions: np.ndarray, labels: np.ndarray, threshold: float = 0.5) -> dict[str, Any]:
    """Figures for P(REAL) in [0, 1] against labels (1 = REAL, 0 = FAKE), both of shape (N,).

    Precision, recall and F1 are of REAL. The confusion matrix has a row for each true label and a
    column for each answer. `accuracy_interval` is Wilson's at 95 %. Raises ValueError unless both
    labels occur.
    """
    if len(predictions) != len(labels) or len(np.unique(labels)) != 2:
        raise ValueError("scoring needs one prediction a label, and pictures of both labels")
    answers = (predictions >= threshold).astype(np.uint8)
    right = int((answers == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, answers, average="binary", zero_division=0.0
    )
    rows = confusion_matrix(labels, answers, labels=[1, 0]).tolist()
    return {
        "pictures": len(labels),
        "accuracy": right / len(labels),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(roc_auc_score(labels, predictions)),
        "ece": expected_calibration_error(predictions, labels, threshold),
        "log_loss": float(log_loss(labels, predictions)),
        "confusion": {
            "REAL": dict(zip(("REAL", "FAKE"), rows[0], strict=True)),
            "FAKE": dict(zip(("REAL", "FAKE"), rows[1], strict=True)),
        },
    }


def expected_calibration_error(predictions: np.ndarray, labels: np.ndarray, threshold: float = 0.5) -> float:
    """Mean distance, in [0, 1], of confidence from accuracy (Guo et al. 2017, arXiv 1706.04599, eq. 3).

    Confidence is that of the label answered; bins are 15 of equal width over [0, 1].
    """
    answers = predictions >= threshold
    confidence = np.where(answers, predictions, 1 - predictions)
    right = answers == (labels == 1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    gap = np.bincount(bins, weights=confidence - right, minlength=BINS)
    return float(np.abs(gap).sum() / len(labels))


def describe(scores: dict[str, Any]) -> str:
    """The figures of `score` for people."""
    low, high = scores["accuracy_interval"]
    rows = [
        f"pictures   {scores['pictures']}",
        f"accuracy   {scores['accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%})",
        f"precision  {scores['precision']:.4f}  (of REAL)",
        f"recall     {scores['recall']:.4f}",
        f"F1         {scores['f1']:.4f}",
        f"AUROC      {scores['auroc']:.5f}",
        f"ECE        {scores['ece']:.2%}",
        "",
        "true \\ answer    REAL    FAKE",
    ]
    for label, row in scores["confusion"].items():
        rows.append(f"{label:13} {row['REAL']:7d} {row['FAKE']:7d}")
    return "\n".join(rows)
