"""Classification metrics with 95 % confidence intervals, and expected calibration error."""

from typing import Any

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support, roc_auc_score

from model.metadata import THRESHOLD
from training.tables import number, percentage, table

BINS = 15
BIN_PICTURES = 20  # least number of pictures in a bin of the reliability diagram


def classification_metrics(predictions: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """Metrics of P(REAL) in [0, 1] and labels (1 = REAL, 0 = FAKE), both of shape (N,).

    The positive class of precision, recall and F1 is REAL. The confusion matrix has a row for each label
    and a column for each predicted label. Intervals are at 95 %: Wilson's for accuracy, `bootstrap_intervals`
    for the others. Raises ValueError unless both labels occur.
    """
    if len(predictions) != len(labels) or len(np.unique(labels)) != 2:
        raise ValueError("metrics need one prediction for each label, and pictures of both labels")
    predicted = (predictions >= THRESHOLD).astype(np.uint8)
    correct = int((predicted == labels).sum())
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, predicted, average="binary", zero_division=0.0
    )
    intervals = bootstrap_intervals(predictions, labels)
    rows = confusion_matrix(labels, predicted, labels=[1, 0]).tolist()
    return {
        "pictures": len(labels),
        "accuracy": correct / len(labels),
        "accuracy_interval": list(wilson_interval(correct, len(labels))),
        "precision": float(precision),
        "recall": float(recall),
        "f1": float(f1),
        "auroc": float(roc_auc_score(labels, predictions)),
        "ece": expected_calibration_error(predictions, labels),
        **{f"{name}_interval": interval for name, interval in intervals.items()},
        "reliability": reliability(predictions, labels),
        "log_loss": float(log_loss(labels, predictions)),
        "confusion": {
            "REAL": dict(zip(("REAL", "FAKE"), rows[0], strict=True)),
            "FAKE": dict(zip(("REAL", "FAKE"), rows[1], strict=True)),
        },
    }


def wilson_interval(hits: int, count: int) -> tuple[float, float]:
    """The 95 % confidence interval of a share of `hits` in `count`, which is at least 1 (Wilson 1927)."""
    interval = binomtest(hits, count).proportion_ci(method="wilson")
    return float(interval.low), float(interval.high)


def expected_calibration_error(predictions: np.ndarray, labels: np.ndarray) -> float:
    """Mean absolute difference, in [0, 1], of confidence and accuracy in 15 bins of equal width.

    Guo et al. 2017, arXiv 1706.04599, eq. 3. Confidence is the probability of the predicted label.
    """
    _, confidence, correct = confidence_bins(predictions, labels)
    return float(np.abs(confidence - correct).sum() / len(labels))


def confidence_bins(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(pictures, sum of confidence, correct predictions) in 15 bins of confidence, each of shape (15,)."""
    confidence, correct = _confidence(predictions, labels)
    bins = np.minimum((confidence * BINS).astype(int), BINS - 1)
    counts, sums, hits = (np.bincount(bins, weights=w, minlength=BINS) for w in (None, confidence, correct))
    return counts, sums, hits


def reliability(predictions: np.ndarray, labels: np.ndarray) -> list[dict[str, Any]]:
    """`confidence` (mean), `accuracy`, `accuracy_interval` and `pictures` of bins of confidence.

    At most 15 bins of equally many pictures, 20 or more, by ascending confidence (Nguyen & O'Connor 2015,
    "Posterior calibration and exploratory analysis for natural language processing models", EMNLP, arXiv
    1508.05154). Arguments: see `classification_metrics`.
    """
    confidence, correct = _confidence(predictions, labels)
    count = min(BINS, max(1, len(labels) // BIN_PICTURES))
    bins = []
    for index in np.array_split(np.argsort(confidence, kind="stable"), count):
        hits = int(correct[index].sum())
        bins.append(
            {
                "confidence": float(confidence[index].mean()),
                "accuracy": hits / len(index),
                "accuracy_interval": list(wilson_interval(hits, len(index))),
                "pictures": len(index),
            }
        )
    return bins


def _confidence(predictions: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The probability of each predicted label, and whether that is right, both of shape (N,)."""
    predicted = predictions >= THRESHOLD
    return np.where(predicted, predictions, 1 - predictions), predicted == (labels == 1)


def bootstrap_intervals(
    predictions: np.ndarray, labels: np.ndarray, resamples: int = 1000
) -> dict[str, list[float]]:
    """95 % percentile bootstrap intervals of precision, recall, F1, AUROC and ECE, stratified by class.

    Efron & Tibshirani 1993, "An Introduction to the Bootstrap", chapter 13. The ECE of a resample is biased
    upwards, because it is a sum of absolute values; its interval is shifted down by the mean of that bias.
    """
    random = np.random.default_rng(0)
    classes = [np.flatnonzero(labels == label) for label in (1, 0)]
    values: dict[str, list[float]] = {name: [] for name in ("precision", "recall", "f1", "auroc", "ece")}
    for _ in range(resamples):
        positive, negative = (predictions[random.choice(index, len(index))] for index in classes)
        tp, fp = int((positive >= THRESHOLD).sum()), int((negative >= THRESHOLD).sum())
        values["precision"].append(tp / max(1, tp + fp))
        values["recall"].append(tp / len(positive))
        values["f1"].append(2 * tp / (len(positive) + tp + fp))
        values["auroc"].append(_auroc(positive, negative))
        both = np.concatenate([positive, negative])
        is_positive = np.arange(len(both)) < len(positive)
        values["ece"].append(expected_calibration_error(both, is_positive))
    intervals = {name: np.quantile(resampled, (0.025, 0.975)) for name, resampled in values.items()}
    bias = np.mean(values["ece"]) - expected_calibration_error(predictions, labels)
    intervals["ece"] = np.clip(intervals["ece"] - bias, 0, 1)
    return {name: [float(low), float(high)] for name, (low, high) in intervals.items()}


def mean_interval(values: np.ndarray) -> tuple[float, list[float]]:
    """The mean of values of shape (N,), and its 95 % confidence interval (normal approximation)."""
    mean, margin = float(values.mean()), 1.96 * float(values.std()) / len(values) ** 0.5
    return mean, [mean - margin, mean + margin]


def _auroc(positive: np.ndarray, negative: np.ndarray) -> float:
    """The share of pairs in which the positive one is higher, ties by half (Mann & Whitney 1947)."""
    negative = np.sort(negative)
    below = np.searchsorted(negative, positive, "left")
    not_above = np.searchsorted(negative, positive, "right")
    return float((below + not_above).mean() / (2 * len(negative)))


def describe(metrics: dict[str, Any]) -> str:
    """The metrics of `classification_metrics`, and those that `evaluate` adds, as two tables."""
    count, ece = metrics["pictures"], metrics["ece_interval"]
    rows = [
        ("pictures", str(count)),
        ("accuracy", *percentage(metrics["accuracy"], metrics["accuracy_interval"])),
        ("precision of REAL", *number(metrics["precision"], metrics["precision_interval"])),
        ("recall of REAL", *number(metrics["recall"], metrics["recall_interval"])),
        ("F1 of REAL", *number(metrics["f1"], metrics["f1_interval"])),
        ("AUROC", *number(metrics["auroc"], metrics["auroc_interval"])),
        ("ECE", *percentage(metrics["ece"], ece)),
    ]
    if "ece_uncalibrated" in metrics:
        rows.append(("ECE before calibration", percentage(metrics["ece_uncalibrated"], ece)[0]))
    if "in_domain" in metrics:
        share = metrics["in_domain"]
        rows.append(("in domain", *percentage(share, wilson_interval(round(share * count), count))))
    confusion = [(label, str(row["REAL"]), str(row["FAKE"])) for label, row in metrics["confusion"].items()]
    return "\n\n".join(
        [
            table(rows, ("", "", "95 % interval"), "<><"),
            table(confusion, ("label", "predicted REAL", "FAKE"), "<>"),
        ]
    )
