"""What is known of a checkpoint on labelled pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.metadata import THRESHOLD, Label
from model.predictor import Predictor
from training.data.labelled_images import LabelledImages
from training.evaluation.metrics import expected_calibration_error, score


@dataclass(frozen=True)
class Evaluation:
    """predictions, uncalibrated: P(positive_class) with and without calibration, of shape (N,); figures: of
    training.evaluation.metrics, and beside them the ECE before calibration and the share in the domain."""

    predictions: np.ndarray
    uncalibrated: np.ndarray
    figures: dict[str, Any]


def evaluate(predictor: Predictor, pictures: LabelledImages, positive_class: Label = "REAL") -> Evaluation:
    """Judge the probability of `positive_class` against label 1 of the pictures."""
    checkpoint = predictor.metadata
    z, means = predictor.forward(pictures.images)
    predictions, uncalibrated = checkpoint.probability(z), checkpoint.uncalibrated(z)
    if positive_class == "FAKE":
        predictions, uncalibrated = _complement(predictions), _complement(uncalibrated)
    figures = score(predictions, pictures.labels)
    figures["ece_uncalibrated"] = expected_calibration_error(uncalibrated, pictures.labels)
    if checkpoint.ood_detector:
        figures["in_domain"] = float(checkpoint.ood_detector.contains(means).mean())
    return Evaluation(predictions, uncalibrated, figures)


def _complement(predictions: np.ndarray) -> np.ndarray:
    """P(FAKE), below the threshold where P(REAL) is just at it: there the answer is REAL."""
    return np.where(predictions == THRESHOLD, np.nextafter(THRESHOLD, 0), 1 - predictions)


def describe_more(figures: dict[str, Any]) -> str:
    """What `evaluate` adds to the figures of `score`, for people."""
    domain = f"{figures['in_domain']:.2%}" if "in_domain" in figures else "unknown to this checkpoint"
    return f"ECE before calibration {figures['ece_uncalibrated']:.2%}; in domain: {domain}"
