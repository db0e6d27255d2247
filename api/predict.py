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
    picture = service.picture(picture_bytes())
    [prediction] = service.predict([picture.pixels])
    verdict = service.predictor.verdict(prediction)
    return {
        "label": verdict.label,
        "confidence": round(verdict.confidence, 6),
        "prediction": prediction,
        "width": picture.width,
        "height": picture.height,
        "resized": picture.pixels.shape[:2] != (picture.height, picture.width),
    }
