"""A checkpoint's metadata. Imports no torch."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.architecture import Architecture
from model.calibration import Calibration
from model.images.preprocess import Preprocess
from model.ood import MahalanobisDetector, OodFeatures

Label = Literal["REAL", "FAKE"]

THRESHOLD = 0.5
"""An image is labelled REAL if P(REAL) is at least this."""

# `auto` selects a precision only if the upper end of the 95 % interval of its paired accuracy loss on
# validation images is below MAX_ACCURACY_DROP points. 0.3 points is half of Wilson's 95 % interval for 97.5 %
# accuracy on 10,000 images. On fewer than MIN_SAMPLES images no difference at all is no evidence: if N images
# have none, up to 3 / N of all images may (rule of three; Hanley & Lippman-Hand 1983, JAMA 249).
MAX_ACCURACY_DROP, MIN_SAMPLES = 0.3, 1000


class CheckpointError(Exception):
    """The file is missing, is not a checkpoint, or does not fit the network it names."""


def digest_of(path: Path) -> str:
    """The SHA-256 of a checkpoint file, in hexadecimal. Raises CheckpointError."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError as error:
        raise CheckpointError(f"there is no file {path}") from error
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error


LARGEST_INT8_WEIGHT = 63
"""The level of the largest weight of an output channel in int8: the others are multiples of a 63rd of it.

It is half of what int8 holds: without VNNI two products with an activation are added in 16 bits. A weight
that stands on a level stays there when it is rounded again.
"""


@dataclass(frozen=True)
class ActivationRange:
    """The range of an int8 activation, quantized to 256 levels from low to high.

    operation, port: name and input index of the OpenVINO operation that it is an input of.
    """

    operation: str
    port: int
    low: float
    high: float


@dataclass(frozen=True)
class CheckpointMetadata:
    """Everything in a checkpoint besides its weights.

    positive_class: the class of label 1 in the training data; REAL is a photograph.
    calibration: applied to the logit before the sigmoid.
    ood_detector: judges by the network's channel means whether an image is in the domain; None if unknown.
    image_detector: judges by statistics of the pixels, besides; None in files from before there was one.
    int8: activation ranges for int8 inference; empty if the checkpoint was not quantized.
    recipe, metrics, data: plain values, shown by `/model`.
    digest: SHA-256 of the checkpoint file; empty if the checkpoint was not read from a file.
    """

    architecture: Architecture
    preprocess: Preprocess
    positive_class: Label = "REAL"
    calibration: Calibration = Calibration()
    ood_detector: MahalanobisDetector | None = None
    image_detector: MahalanobisDetector | None = None
    int8: tuple[ActivationRange, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        if self.positive_class not in get_args(Label):
            raise ValueError(f"positive_class must be REAL or FAKE, not {self.positive_class!r}")

    @property
    def short_digest(self) -> str:
        """The first 12 digits of the digest, by which answers name the checkpoint."""
        return self.digest[:12]

    @property
    def positive_class_assumed(self) -> bool:
        """Whether nothing says what label 1 was in the training data, as with bare `state_dict` files."""
        return "label_1" not in self.data

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) in [0, 1] for logits of label 1, float64 of shape (N,)."""
        return self.uncalibrated_probability(self.calibration(logits))

    def uncalibrated_probability(self, logits: np.ndarray) -> np.ndarray:
        """`probability` without calibration."""
        probability = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))  # exp(710) overflows float64
        return probability if self.positive_class == "REAL" else 1 - probability

    def target_sign(self, predictions: np.ndarray) -> np.ndarray:
        """The sign of the logit of the predicted label: +1 if that is label 1, -1 if it is label 0.

        predictions: P(REAL) in [0, 1], of shape (N,). Returns float32 of shape (N,). It can differ from the
        sign of the logit because of the calibration's shift and of `positive_class`.
        """
        real = np.asarray(predictions) >= THRESHOLD
        return np.where(real == (self.positive_class == "REAL"), 1, -1).astype(np.float32)

    def contains(self, features: OodFeatures) -> np.ndarray | None:
        """Whether each image is in the domain of both detectors, bool of shape (N,); None without them."""
        if self.ood_detector is None:
            return None
        inside = self.ood_detector.contains(features.means)
        return inside & self.image_detector.contains(features.statistics) if self.image_detector else inside

    def allows_precision(self, precision: str) -> bool:
        """Whether `metrics` show on enough validation images a loss below MAX_ACCURACY_DROP points."""
        record = self.metrics.get("precisions", {}).get(precision, {})
        if record.get("split") != "validation" or record.get("pictures", 0) < MIN_SAMPLES:
            return False
        return record.get("points_lost_interval", (0.0, np.inf))[1] < MAX_ACCURACY_DROP

    def to_dict(self) -> dict[str, Any]:
        """All fields but the digest, as plain values and arrays."""
        return {
            "architecture": self.architecture.to_dict(),
            "preprocess": asdict(self.preprocess),
            "positive_class": self.positive_class,
            "calibration": asdict(self.calibration),
            "ood_detector": self.ood_detector and self.ood_detector.to_dict(),
            "image_detector": self.image_detector and self.image_detector.to_dict(),
            "int8": [asdict(range_) for range_ in self.int8],
            "recipe": self.recipe,
            "metrics": self.metrics,
            "data": self.data,
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any], digest: str = "") -> "CheckpointMetadata":
        """The inverse of `to_dict`. Raises KeyError, TypeError or ValueError for invalid values."""
        detector, image_detector = values.get("ood_detector"), values.get("image_detector")
        preprocess = values["preprocess"]
        return cls(
            architecture=Architecture(**values["architecture"]),
            preprocess=Preprocess(preprocess["size"], tuple(preprocess["mean"]), tuple(preprocess["std"])),
            positive_class=values["positive_class"],
            calibration=Calibration(**values["calibration"]),
            ood_detector=detector and MahalanobisDetector.from_dict(detector),
            image_detector=image_detector and MahalanobisDetector.from_dict(image_detector),
            int8=tuple(ActivationRange(**range_) for range_ in values.get("int8", ())),
            recipe=values["recipe"],
            metrics=values["metrics"],
            data=values["data"],
            digest=digest,
        )
