"""`POST /predict`: one picture, one answer."""

from typing import Any

from flask import Blueprint

from api.service import current_service
from api.uploads import picture_bytes

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> dict[str, Any]:
    """The label of one picture, the probability of that label, and P(REAL)."""
    service = current_service()
    picture, (width, height) = service.picture(picture_bytes())
    [prediction] = service.predict([picture])
    verdict = service.predictor.verdict(prediction)
    return {
        "label": verdict.label,
        "confidence": round(verdict.confidence, 6),
        "prediction": prediction,
        "width": width,
        "height": height,
        "resized": picture.shape[:2] != (height, width),
    }
