"""Fitting a model's domain, and trying it on pictures that are not in it."""

from dataclasses import replace

import numpy as np
from sklearn.covariance import ledoit_wolf

from model.metadata import CheckpointMetadata
from model.ood import MahalanobisDetector, log_means
from model.predictor import Predictor
from training.evaluation.ood_images import ood_images

FALSE_ALARMS = 0.01
ROUNDING = 1e-4  # distances differ by less, relatively, between batches of other sizes


def fit_detector(trained_on: np.ndarray, unseen: np.ndarray) -> MahalanobisDetector:
    """The domain of channel means, float of shape (N, D), of pictures trained on.

    The threshold comes from `unseen`, the means of pictures like them, shape (M, D): 1 % of them, rounded
    down, lie beyond it, and the next one within it by more than rounding. The covariance is shrunk towards a
    sphere (Ledoit & Wolf 2004). Arrays are of float32, as a checkpoint's file holds them.
    """
    logs = log_means(trained_on)
    mean = logs.mean(0)
    covariance, _ = ledoit_wolf(logs - mean, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    values = {"mean": mean, "whitening": axes / np.sqrt(variances), "threshold": np.inf}
    detector = MahalanobisDetector.from_dict(values)
    beyond = int(FALSE_ALARMS * len(unseen))
    farthest = float(np.sort(detector.distance(unseen))[-1 - beyond])
    return replace(detector, threshold=farthest * (1 + ROUNDING))


def check_detector(metadata: CheckpointMetadata) -> None:
    """Raise ValueError for a checkpoint that does not know its domain."""
    if metadata.ood_detector is None:
        raise ValueError("this checkpoint does not know its domain: train it again")


def detection_rates(predictor: Predictor, count: int = 200) -> dict[str, float]:
    """By kind of strange picture, the share of `count` that is found out of the domain.

    Raises ValueError for a checkpoint that does not know its domain.
    """
    check_detector(predictor.metadata)
    found = {}
    for kind, pictures in ood_images(count).items():
        in_domain = predictor.predict(pictures).in_domain
        assert in_domain is not None
        found[kind] = float(1 - in_domain.mean())
    return found


def describe(found: dict[str, float]) -> str:
    """The figures of `detection_rates` for people."""
    rows = [f"  {kind:14} {share:7.1%}" for kind, share in found.items()]
    return "\n".join(["strange pictures found out of the domain:", *rows])
