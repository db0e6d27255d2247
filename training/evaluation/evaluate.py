"""What is known of a checkpoint on labelled pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.metadata import Label
from model.predictor import Predictor
from training.data.labelled_images import Pictures
from training.evaluation.metrics import expected_calibration_error, score


@dataclass(frozen=True)
class Evaluation:
    """predictions, uncalibrated: P(positive) with and without calibration, of shape (N,); figures: of
    training.evaluation.metrics, and beside them the ECE before calibration and the share in the domain."""

    predictions: np.ndarray
    uncalibrated: np.ndarray
    figures: dict[str, Any]


def evaluate(predictor: Predictor, pictures: Pictures, positive: Label = "REAL") -> Evaluation:
    """Judge the probability of `positive` against label 1 of the pictures."""
    checkpoint = predictor.checkpoint
    z, means = predictor.look(pictures.images)
    predictions, uncalibrated = checkpoint.probability(z), checkpoint.uncalibrated(z)
    threshold = checkpoint.threshold
    if positive == "FAKE":
        predictions, uncalibrated = 1 - predictions, 1 - uncalibrated
        threshold = float(np.nextafter(1 - threshold, 2))  # at the threshold itself the answer is REAL
    figures = score(predictions, pictures.labels, threshold)
    figures["ece_uncalibrated"] = expected_calibration_error(uncalibrated, pictures.labels, threshold)
    if checkpoint.domain:
        figures["in_domain"] = float(checkpoint.domain.holds(means).mean())
    return Evaluation(predictions, uncalibrated, figures)


def describe_more(figures: dict[str, Any]) -> str:
    """What `evaluate` adds to the figures of `score`, for people."""
    domain = f"{figures['in_domain']:.2%}" if "in_domain" in figures else "unknown to this checkpoint"
    return f"ECE before calibration {figures['ece_uncalibrated']:.2%}; in domain: {domain}"
