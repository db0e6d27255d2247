"""The manifest: all that a checkpoint says besides its weights. Imports no torch."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.architecture import Architecture
from model.calibration import Calibration
from model.images.preprocess import Preprocess
from model.ood import Domain

Label = Literal["REAL", "FAKE"]

# `auto` takes a precision whose loss of accuracy on validation pictures is below POINTS points with 97.5 %
# confidence: that is the upper end of the 95 % interval of the paired loss. 0.3 points is what a test on
# 10,000 pictures cannot tell from chance at 97.5 % accuracy (half of Wilson's 95 % interval). On fewer than
# RECORDED pictures a loss of that size may leave no trace: where none of N is answered otherwise, up to 3 / N
# of all pictures may be (rule of three; Hanley & Lippman-Hand 1983, JAMA 249).
POINTS, RECORDED = 0.3, 1000


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
class Manifest:
    """What is needed to prepare a picture, and to read a probability from a logit.

    positive: what label 1 meant in the training data, by the words of this project:
        REAL is a photograph.
    calibration: what the logit goes through before the sigmoid.
    threshold: a picture is called REAL where P(REAL) is at least this.
    domain: what tells pictures like the training data from others; None where nothing does.
    int8: the ranges of an int8 engine; empty where they were not looked for.
    recipe, metrics, data: plain values, for people and for `/model`.
    digest: SHA-256 of the file it was read from; empty for one not read from a file.
    """

    architecture: Architecture
    preprocess: Preprocess
    positive: Label = "REAL"
    calibration: Calibration = Calibration()
    threshold: float = 0.5
    domain: Domain | None = None
    int8: tuple[Range, ...] = ()
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        if self.positive not in get_args(Label):
            raise ValueError(f"positive must be REAL or FAKE, not {self.positive!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], not {self.threshold}")

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) in [0, 1] for logits of label 1, float64 of shape (N,)."""
        return self.uncalibrated(self.calibration(logits))

    def uncalibrated(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) as the network itself says it, without calibration. Shapes as for `probability`."""
        positive = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))  # exp(710) is beyond float64
        return positive if self.positive == "REAL" else 1 - positive

    def towards(self, predictions: np.ndarray) -> np.ndarray:
        """Which way label 1's logit goes where the label that is answered becomes more probable.

        predictions: P(REAL) in [0, 1], of shape (N,). Returns float32 of shape (N,): +1 where it rises, -1
        where it falls. Not the sign of the logit: the calibration's shift, the threshold and `positive` lie
        between the two.
        """
        real = np.asarray(predictions) >= self.threshold
        return np.where(real == (self.positive == "REAL"), 1, -1).astype(np.float32)

    def allows(self, precision: str) -> bool:
        """Whether this precision loses, by the checkpoint's own record, less than `POINTS` against f32.

        A record without an interval, or of pictures that may have been trained on, allows nothing.
        """
        record = self.metrics.get("precisions", {}).get(precision, {})
        if record.get("split") != "validation" or record.get("pictures", 0) < RECORDED:
            return False
        return record.get("points_lost_interval", (0.0, np.inf))[1] < POINTS

    def values(self) -> dict[str, Any]:
        """As plain values and arrays, but for the digest: that is the file's."""
        return {
            "architecture": asdict(self.architecture),
            "preprocess": asdict(self.preprocess),
            "positive": self.positive,
            "calibration": asdict(self.calibration),
            "threshold": self.threshold,
            "domain": self.domain and asdict(self.domain),
            "int8": [asdict(one) for one in self.int8],
            "recipe": self.recipe,
            "metrics": self.metrics,
            "data": self.data,
        }

    @staticmethod
    def fields(values: dict[str, Any]) -> dict[str, Any]:
        """The fields that `values` gave. Raises KeyError, TypeError or ValueError where one is missing."""
        domain = values.get("domain")
        preprocess = values["preprocess"]
        return {
            "architecture": Architecture(**values["architecture"]),
            "preprocess": Preprocess(preprocess["size"], tuple(preprocess["mean"]), tuple(preprocess["std"])),
            "positive": values["positive"],
            "calibration": Calibration(**values["calibration"]),
            "threshold": values["threshold"],
            "domain": domain and Domain.of(domain),
            "int8": tuple(Range(**one) for one in values.get("int8", ())),
            "recipe": values["recipe"],
            "metrics": values["metrics"],
            "data": values["data"],
        }
