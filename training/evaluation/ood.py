"""Fitting an out-of-distribution (OOD) detector, and its detection rates on synthetic OOD pictures."""

from dataclasses import replace

import numpy as np
from sklearn.covariance import ledoit_wolf

from model.metadata import CheckpointMetadata
from model.ood import MahalanobisDetector, log_means
from model.predictor import Predictor
from training.evaluation.metrics import wilson_interval
from training.evaluation.ood_images import ood_images
from training.progress import track
from training.tables import percentage, table

FALSE_POSITIVE_RATE = 0.01
PICTURES = 200  # of each kind
ROUNDING = 1e-4  # relative difference of distances between batch sizes, at most


def fit_detector(train_means: np.ndarray, val_means: np.ndarray) -> MahalanobisDetector:
    """Fit mean and covariance of the log channel means, with the shrinkage of Ledoit & Wolf 2004.

    train_means: channel means of training pictures, float of shape (N, D). val_means: those of validation
    pictures, shape (M, D): 1 % of them, rounded down, are beyond the detector's threshold, and the next one
    is within it by more than rounding. The detector's arrays are float32, as in a checkpoint's file.
    """
    logs = log_means(train_means)
    mean = logs.mean(0)
    covariance, _ = ledoit_wolf(logs - mean, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    values = {"mean": mean, "whitening": axes / np.sqrt(variances), "threshold": np.inf}
    detector = MahalanobisDetector.from_dict(values)
    beyond = int(FALSE_POSITIVE_RATE * len(val_means))
    farthest_within = float(np.sort(detector.distance(val_means))[-1 - beyond])
    return replace(detector, threshold=farthest_within * (1 + ROUNDING))


def check_detector(metadata: CheckpointMetadata) -> None:
    """Raise ValueError for a checkpoint without an OOD detector."""
    if metadata.ood_detector is None:
        raise ValueError("this checkpoint has no OOD detector: train it again")


def detection_rates(predictor: Predictor, count: int = PICTURES) -> dict[str, float]:
    """By kind of synthetic picture, the share of `count` that is detected as out of distribution.

    Raises ValueError for a checkpoint without an OOD detector.
    """
    check_detector(predictor.metadata)
    rates = {}
    drawn = ood_images(count)
    for kind, pictures in track(drawn.items(), "out of distribution", "kind"):
        in_domain = predictor.predict(pictures).in_domain
        assert in_domain is not None
        rates[kind] = float(1 - in_domain.mean())
    return rates


def describe(rates: dict[str, float], count: int = PICTURES) -> str:
    """The result of `detection_rates` of `count` pictures of each kind as a table."""
    rows = [
        (kind, *percentage(rate, wilson_interval(round(rate * count), count))) for kind, rate in rates.items()
    ]
    return table(rows, ("synthetic pictures", "out of distribution", "95 % interval"), "<><")
