"""`GET /livez` (liveness), `/readyz` (readiness) and `/model` (the served checkpoint)."""

from dataclasses import asdict
from typing import Any

from flask import Blueprint

from api.service import current_service
from model.metadata import THRESHOLD

blueprint = Blueprint("health", __name__)


@blueprint.get("/livez")
def livez() -> dict[str, str]:
    """Liveness probe: 200 while the process answers."""
    return {"status": "alive"}


@blueprint.get("/readyz")
def readyz() -> dict[str, str]:
    """Readiness probe: 200 if the model predicts a blank picture in time, else 503."""
    current_service().check_ready()
    return {"status": "ready"}


@blueprint.get("/model")
def model() -> dict[str, Any]:
    """Metadata of the served checkpoint."""
    predictor = current_service().predictor
    checkpoint = predictor.metadata
    size = checkpoint.preprocess.size
    return {
        "digest": checkpoint.digest,
        "engine": predictor.info._asdict(),
        "architecture": asdict(checkpoint.architecture),
        "preprocess": asdict(checkpoint.preprocess),
        "labels": {"1": "REAL", "0": "FAKE"},
        "prediction": "P(REAL)",
        "label_1_in_training_data": checkpoint.positive_class,
        "label_1_assumed": checkpoint.positive_class_assumed,
        "calibration": asdict(checkpoint.calibration),
        "threshold": THRESHOLD,
        "domain": f"{size}x{size} RGB pictures like those it was trained on; others are resized",
        "recipe": checkpoint.recipe,
        "data": checkpoint.data,
        "metrics": checkpoint.metrics,
    }
