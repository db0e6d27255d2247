"""Out-of-distribution detection."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

import numpy as np

FLOOR = 1e-3  # added to features, so that the logarithm of 0 is finite


@dataclass(frozen=True)
class MahalanobisDetector:
    """A threshold on the Mahalanobis distance of an image's features.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
    Adversarial Attacks", arXiv 1807.03888, with one Gaussian for both classes, and, of features that are not
    negative, with the logarithm, under which low values weigh as much as high ones.

    mean: float of shape (D,). whitening: float of shape (D, D); (log features - mean) @ whitening has unit
    covariance over the training images. threshold: the largest `distance` that is in the domain. log: whether
    the logarithm is taken.
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float
    log: bool = True

    def distance(self, features: np.ndarray) -> np.ndarray:
        """Mahalanobis distance divided by sqrt(D), float of shape (N,), for features (N, D).

        About 1 for images like the training data.
        """
        values = log_features(features) if self.log else np.asarray(features, np.float32)
        whitened = (values - self.mean) @ self.whitening
        return np.sqrt((whitened**2).mean(1))

    def contains(self, features: np.ndarray) -> np.ndarray:
        """Whether each image is within the threshold, bool of shape (N,), for features (N, D)."""
        return self.distance(features) <= self.threshold

    def to_dict(self) -> dict[str, Any]:
        """All fields, as a checkpoint has them: `log` only where it is false, as older files have none."""
        fields = asdict(self)
        if self.log:
            del fields["log"]
        return fields

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MahalanobisDetector":
        """The inverse of `to_dict`, from arrays or tensors. Raises KeyError if one is missing."""
        mean, whitening = (np.ascontiguousarray(values[name], np.float32) for name in ("mean", "whitening"))
        return cls(mean, whitening, float(values["threshold"]), bool(values.get("log", True)))


class OodFeatures(NamedTuple):
    """What the domain of N images is judged by.

    means: the network's channel means, float32 of shape (N, `Architecture.ood_features`).
    statistics: STATISTICS of `model.images.statistics`, float32 of shape (N, len(STATISTICS)).
    """

    means: np.ndarray
    statistics: np.ndarray


def domain(by_content: bool | None, resampled: bool) -> tuple[bool | None, Literal["size", "content"] | None]:
    """Whether a picture is in the model's domain, None if unknown, and the reason why it is not.

    `size`: it had to be resampled, and the detector cannot judge by what is left of its detail.
    `content`: the detector finds it unlike the training data.

    by_content: what `contains` says of the pixels that the network saw; None if there is no detector.
    resampled: see `model.images.preprocess.FittedImage`.
    """
    if resampled:
        return False, "size"
    return by_content, "content" if by_content is False else None


def log_features(features: np.ndarray) -> np.ndarray:
    """The logarithms of features of at least 0, float32 of their shape."""
    return np.log(np.asarray(features, np.float32) + np.float32(FLOOR))
