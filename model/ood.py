"""The domain: is a picture like those that the network was trained on?"""

from dataclasses import dataclass
from typing import Any

import numpy as np

# Added to a mean before its logarithm is taken, so that a silent channel has one.
FLOOR = 1e-3


@dataclass(frozen=True)
class MahalanobisDetector:
    """A Gaussian over the logarithms of a network's channel means, and how far from its mean is too far.

    Lee et al. 2018, "A Simple Unified Framework for Detecting Out-of-Distribution Samples and
    Adversarial Attacks", arXiv 1807.03888, with one Gaussian for both classes. The logarithm is ours: it
    makes a channel that falls silent count as much as one that shouts.

    mean: float of shape (D,). whitening: float of shape (D, D); (log means - mean) @ whitening has unit
    covariance over the training pictures. threshold: the largest `distance` that is in the domain.
    """

    mean: np.ndarray
    whitening: np.ndarray
    threshold: float

    def distance(self, means: np.ndarray) -> np.ndarray:
        """Root mean square over the whitened axes, float of shape (N,), of channel means (N, D).

        About 1 for pictures like those trained on.
        """
        whitened = (log_means(means) - self.mean) @ self.whitening
        return np.sqrt((whitened**2).mean(1))

    def contains(self, means: np.ndarray) -> np.ndarray:
        """Whether each picture is in the domain, bool of shape (N,), by its channel means (N, D)."""
        return self.distance(means) <= self.threshold

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "MahalanobisDetector":
        """From its parts by name, arrays or tensors. Raises KeyError where one is missing."""
        mean, whitening = (np.ascontiguousarray(values[name], np.float32) for name in ("mean", "whitening"))
        return cls(mean, whitening, float(values["threshold"]))


def log_means(means: np.ndarray) -> np.ndarray:
    """The logarithms that a domain is made of, float32 of the means' shape."""
    return np.log(np.asarray(means, np.float32) + np.float32(FLOOR))
