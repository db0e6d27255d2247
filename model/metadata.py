"""A checkpoint's metadata: all that it says besides its weights. Imports no torch."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.architecture import Architecture
from model.calibration import Calibration
from model.images.preprocess import Preprocess
from model.ood import MahalanobisDetector

Label = Literal["REAL", "FAKE"]

THRESHOLD = 0.5
"""A picture is called REAL where P(REAL) is at least this."""

# `auto` takes a precision whose loss of accuracy on validation pictures is below MAX_ACCURACY_DROP points
# with 97.5 % confidence: that is the upper end of the 95 % interval of the paired loss. 0.3 points is what a
# test on 10,000 pictures cannot tell from chance at 97.5 % accuracy (half of Wilson's 95 % interval). On
# fewer than MIN_SAMPLES pictures a loss of that size may leave no trace: where none of N is answered
# otherwise, up to 3 / N of all pictures may be (rule of three; Hanley & Lippman-Hand 1983, JAMA 249).
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


@dataclass(frozen=True)
class Range:
    """What an input of an operation is rounded to in int8: 256 values from low to high.

    operation, port: the operation's name in OpenVINO's graph, and which of its inputs it is.
    """

    operation: str
    port: int
    low: float
    high: float


@dataclass(frozen=True)
class CheckpointMetadata:
    """What is needed to prepare a picture, and to read a probability from a logit.

    positive_class: what label 1 meant in the training data, by the words of this project:
        REAL is a photograph.
    calibration: what the logit goes through before the sigmoid.
    ood_detector: what tells pictures like the training data from others; None where nothing does.
    int8: the ranges of an int8 engine; empty where they were not looked for.
    recipe, metrics, data: plain values, for people and for `/model`.
    digest: SHA-256 of the file it was read from; empty for one not read from a file.
    """

    architecture: Architecture
    preprocess: Preprocess
    positive_class: Label = "REAL"
    calibration: Calibration = Calibration()
    ood_detector: MahalanobisDetector | None = None
    int8: tuple[Range, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        if self.positive_class not in get_args(Label):
            raise ValueError(f"positive_class must be REAL or FAKE, not {self.positive_class!r}")

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) in [0, 1] for logits of label 1, float64 of shape (N,)."""
        return self.uncalibrated(self.calibration(logits))

    def uncalibrated(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) as the network itself says it, without calibration. Shapes as for `probability`."""
        positive_class = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))  # exp(710) is beyond float64
        return positive_class if self.positive_class == "REAL" else 1 - positive_class

    def label_sign(self, predictions: np.ndarray) -> np.ndarray:
        """Which way label 1's logit goes where the label that is answered becomes more probable.

        predictions: P(REAL) in [0, 1], of shape (N,). Returns float32 of shape (N,): +1 where it rises, -1
        where it falls. Not the sign of the logit: the calibration's shift and `positive_class` lie between
        the two.
        """
        real = np.asarray(predictions) >= THRESHOLD
        return np.where(real == (self.positive_class == "REAL"), 1, -1).astype(np.float32)

    def allows(self, precision: str) -> bool:
        """Whether this precision loses less than MAX_ACCURACY_DROP points by the checkpoint's own record.

        A record without an interval, or of pictures that may have been trained on, allows nothing.
        """
        record = self.metrics.get("precisions", {}).get(precision, {})
        if record.get("split") != "validation" or record.get("pictures", 0) < MIN_SAMPLES:
            return False
        return record.get("points_lost_interval", (0.0, np.inf))[1] < MAX_ACCURACY_DROP

    def values(self) -> dict[str, Any]:
        """As plain values and arrays, but for the digest: that is the file's."""
        return {
            "architecture": asdict(self.architecture),
            "preprocess": asdict(self.preprocess),
            "positive_class": self.positive_class,
            "calibration": asdict(self.calibration),
            "ood_detector": self.ood_detector and asdict(self.ood_detector),
            "int8": [asdict(one) for one in self.int8],
            "recipe": self.recipe,
            "metrics": self.metrics,
            "data": self.data,
        }

    @staticmethod
    def fields(values: dict[str, Any]) -> dict[str, Any]:
        """The fields that `values` gave. Raises KeyError, TypeError or ValueError where one is missing."""
        detector = values.get("ood_detector")
        preprocess = values["preprocess"]
        return {
            "architecture": Architecture(**values["architecture"]),
            "preprocess": Preprocess(preprocess["size"], tuple(preprocess["mean"]), tuple(preprocess["std"])),
            "positive_class": values["positive_class"],
            "calibration": Calibration(**values["calibration"]),
            "ood_detector": detector and MahalanobisDetector.from_dict(detector),
            "int8": tuple(Range(**one) for one in values.get("int8", ())),
            "recipe": values["recipe"],
            "metrics": values["metrics"],
            "data": values["data"],
        }
