"""Evaluation of a checkpoint on labelled pictures."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from model.calibration import Calibration
from model.metadata import THRESHOLD, CheckpointMetadata, Label
from model.predictor import Predictor
from training.data.labelled_images import LabelledImages
from training.evaluation.forward import forward
from training.evaluation.metrics import classification_metrics, expected_calibration_error


@dataclass(frozen=True)
class Evaluation:
    """Predictions and their metrics.

    predictions, uncalibrated: P(positive_class) with and without calibration, float64 of shape (N,).
    metrics: those of `classification_metrics`, `ece_uncalibrated`, and, if the checkpoint has an OOD
        detector, `in_domain`, the share of pictures that it takes for in-domain.
    """

    predictions: np.ndarray
    uncalibrated: np.ndarray
    metrics: dict[str, Any]


def evaluate(predictor: Predictor, pictures: LabelledImages, positive_class: Label = "REAL") -> Evaluation:
    """Evaluate P(positive_class) as the probability of label 1."""
    checkpoint = predictor.metadata
    z, features = forward(predictor, pictures.images, "evaluating")
    predictions, uncalibrated = checkpoint.probability(z), checkpoint.uncalibrated_probability(z)
    if positive_class == "FAKE":
        predictions, uncalibrated = _complement(predictions), _complement(uncalibrated)
    metrics = classification_metrics(predictions, pictures.labels)
    metrics["ece_uncalibrated"] = expected_calibration_error(uncalibrated, pictures.labels)
    inside = checkpoint.contains(features)
    if inside is not None:
        metrics["in_domain"] = float(inside.mean())
    return Evaluation(predictions, uncalibrated, metrics)


def describe_positive_class(checkpoint: CheckpointMetadata) -> str:
    """What label 1 means in a checkpoint's training data, as a sentence."""
    if checkpoint.positive_class_assumed:
        return (
            "The checkpoint has no record of what label 1 means in its training data; REAL is assumed. "
            "`audit` with labels that you trust tells whether it is, and --label-1 FAKE says that it is not."
        )
    text = f"Label 1 means {checkpoint.positive_class} in this model's training data"
    return (
        f"{text}; --positive FAKE gives its probability."
        if checkpoint.positive_class == "FAKE"
        else f"{text}."
    )


def describe_calibration(calibration: Calibration) -> str:
    """A calibration as a sentence."""
    if calibration == Calibration():
        return "Confidences are not calibrated."
    return (
        f"Confidences are calibrated: temperature {calibration.temperature:.3g}, power "
        f"{calibration.power:.3g}, shift {calibration.shift:.2g}."
    )


def _complement(predictions: np.ndarray) -> np.ndarray:
    """P(FAKE) from P(REAL); just below the threshold if P(REAL) is equal to it, which is predicted REAL."""
    return np.where(predictions == THRESHOLD, np.nextafter(THRESHOLD, 0), 1 - predictions)
