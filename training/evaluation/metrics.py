"""How good predictions are: accuracy, ranking, calibration, confusion, each with its interval."""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, roc_auc_score

from model.metadata import THRESHOLD

BINS = 15


def score(predictions: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Figures for P(REAL) in [0, 1] against labels (1 = REAL, 0 = FAKE), both of shape (N,).

    Precision, recall and F1 are of REAL. The confusion matrix has a row for each true label and a
    column for each answer. Intervals are at 95 %: Wilson's of accuracy, the others by `bootstrap`.
    Raises ValueError unless both labels occur.
    """
    if len(predictions) != len(labels) or len(np.unique(labels)) != 2:
        raise ValueError("scoring needs one prediction a label, and pictures of both labels")
    answers = (predictions >= THRESHOLD).astype(np.uint8)
    right = int((answers == labels).sum())
    interval = binomtest(right, len(labels)).proportion_ci(method="wilson")
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, answers, average="binary", zero_division=0.0
    )
    intervals = bootstrap(predictions, labels)
    rows = confusion_matrix(labels, answers, labels=[1, 0]).tolist()
    return {
        "pictures": len(labels),
        "accuracy": right / len(labels),
        "accuracy_interval": [float(interval.low), float(interval.high)],
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(roc_auc_score(labels, predictions)),
        "ece": expected_calibration_error(predictions, labels),
        **{f"{name}_interval": interval for name, interval in intervals.items()},
        "log_loss": float(log_loss(labels, predictions)),
        "confusion": {
            "REAL": dict(zip(("REAL", "FAKE"), rows[0], strict=True)),
            "FAKE": dict(zip(("REAL", "FAKE"), rows[1], strict=True)),
        },
    }


def expected_calibration_error(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean distance, in [0, 1], of confidence from accuracy (Guo et al. 2017, arXiv 1706.04599, eq. 3).

    Confidence is that of the label answered; bins are 15 of equal width over [0, 1].
    """
    _, confidence, right = confidence_bins(predictions, labels)
    return float(np.abs(confidence - right).sum() / len(labels))


def confidence_bins(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each of 15 bins of confidence: pictures, sum of confidence, right answers, each of shape (15,)."""
    answers = predictions >= THRESHOLD
    confidence = np.where(answers, predictions, 1 - predictions)
    right = answers == (labels == 1)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    count, said, hits = (np.bincount(bins, weights=w, minlength=BINS) for w in (None, confidence, right))
    return count, said, hits


def bootstrap(predictions: np.ndarray, labels: np.ndarray, draws: int = 1000) -> dict[str, list[float]]:
    """The middle 95 % of precision, recall, F1, AUROC and ECE over pictures drawn again with replacement.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. Each class keeps its
    number of pictures. The ECE of a redrawn sample is larger than that of the sample, because it is a sum
    of distances; its interval is moved back by the mean of that.
    """
    random = np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in (1, 0)]
    figures: dict[str, list[float]] = {name: [] for name in ("precision", "recall", "f1", "auroc", "ece")}
    for _ in range(draws):
        positive, negative = (predictions[random.choice(index, len(index))] for index in classes)
        hits, alarms = int((positive >= THRESHOLD).sum()), int((negative >= THRESHOLD).sum())
        figures["precision"].append(hits / max(1, hits + alarms))
        figures["recall"].append(hits / len(positive))
        figures["f1"].append(2 * hits / (len(positive) + hits + alarms))
        figures["auroc"].append(_auroc(positive, negative))
        both = np.concatenate([positive, negative])
        truth = np.arange(len(both)) < len(positive)
        figures["ece"].append(expected_calibration_error(both, truth))
    intervals = {name: np.quantile(values, (0.025, 0.975)) for name, values in figures.items()}
    excess = np.mean(figures["ece"]) - expected_calibration_error(predictions, labels)
    intervals["ece"] = np.clip(intervals["ece"] - excess, 0, 1)
    return {name: [float(low), float(high)] for name, (low, high) in intervals.items()}


def mean_interval(values: np.ndarray) -> tuple[float, list[float]]:
    """The mean of values of shape (N,), and its 95 % interval by the normal distribution."""
    mean, margin = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return mean, [mean - margin, mean + margin]


def _auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The share of pairs in which the positive one stands higher, ties by half (Mann & Whitney 1947)."""
    ordered = np.sort(negative)
    below = np.searchsorted(ordered, positive, "left")
    not_above = np.searchsorted(ordered, positive, "right")
    return float((below + not_above).mean() / (2 * len(negative)))


def describe(scores: dict[str, Any]) -> str:
    """The figures of `score` for people."""
    low, high = scores["accuracy_interval"]
    rows = [
        f"pictures   {scores['pictures']}",
        f"accuracy   {scores['accuracy']:.2%}  (95 % interval {low:.2%} to {high:.2%})",
        f"precision  {_with_interval(scores, 'precision', '.4f')}  (of REAL)",
        f"recall     {_with_interval(scores, 'recall', '.4f')}",
        f"F1         {_with_interval(scores, 'f1', '.4f')}",
        f"AUROC      {_with_interval(scores, 'auroc', '.5f')}",
        f"ECE        {_with_interval(scores, 'ece', '.2%')}",
        "",
        "true \\ answer    REAL    FAKE",
    ]
    for label, row in scores["confusion"].items():
        rows.append(f"{label:13} {row['REAL']:7d} {row['FAKE']:7d}")
    return "\n".join(rows)


def _with_interval(scores: dict[str, Any], name: str, form: str) -> str:
    low, high = scores[f"{name}_interval"]
    return f"{scores[name]:{form}}  ({low:{form}} to {high:{form}})"
