"""Fitting the out-of-distribution (OOD) detectors, and their detection rates on synthetic OOD pictures."""

from dataclasses import replace

import numpy as np
from sklearn.covariance import ledoit_wolf

from model.metadata import CheckpointMetadata
from model.ood import MahalanobisDetector, OodFeatures, log_features
from model.predictor import Predictor
from training.evaluation.metrics import wilson_interval
from training.evaluation.ood_images import ood_images
from training.progress import track
from training.tables import percentage, table

FALSE_POSITIVE_RATE = 0.01
PICTURES = 200  # of each kind
ROUNDING = 1e-4  # relative difference of distances between batch sizes, at most


def fit_detectors(
    train: OodFeatures, validation: OodFeatures
) -> tuple[MahalanobisDetector, MahalanobisDetector]:
    """Detectors by the channel means and by the statistics of training pictures.

    1 % of the validation pictures, rounded down, are out of the domain at most: as many are beyond the
    threshold of the one as of the other, and the next one is within it by more than rounding.
    """
    gaussians = [fit_gaussian(features) for features in train]
    distances = [one.distance(features) for one, features in zip(gaussians, validation, strict=True)]
    ranks = [np.argsort(np.argsort(-distance)) for distance in distances]  # 0 is the farthest
    beyond = int(np.sort(np.minimum(*ranks))[int(FALSE_POSITIVE_RATE * len(validation.means))])
    network, image = (
        replace(one, threshold=float(np.sort(distance)[-1 - beyond]) * (1 + ROUNDING))
        for one, distance in zip(gaussians, distances, strict=True)
    )
    return network, image


def fit_gaussian(features: np.ndarray) -> MahalanobisDetector:
    """Mean and covariance, with the shrinkage of Ledoit & Wolf 2004, and no threshold.

    They are those of the logarithms where no feature is negative, as after a ReLU.
    features: of training pictures, float of shape (N, D). The arrays are float32, as in a checkpoint's file.
    """
    log = bool(features.min() >= 0)
    values = log_features(features) if log else features
    mean = values.mean(0)
    covariance, _ = ledoit_wolf(values - mean, assume_centered=True)
    variances, axes = np.linalg.eigh(covariance)
    fields = {"mean": mean, "whitening": axes / np.sqrt(variances), "threshold": np.inf, "log": log}
    return MahalanobisDetector.from_dict(fields)


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
