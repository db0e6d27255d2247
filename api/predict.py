"""`POST /predict`: one picture, one answer."""

import base64
import io
from typing import Any

import numpy as np
from flask import Blueprint, request
from PIL import Image

from api.errors import BadRequestProblem
from api.service import current_service
from api.uploads import picture_bytes

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> dict[str, Any]:
    """The label of one picture, the probability of that label, P(REAL), and whether to trust them."""
    service = current_service()
    abstain, explained = _abstain(), _explained()
    picture = service.picture(picture_bytes())
    reading = service.read([picture.pixels])
    prediction = float(reading.predictions[0])
    verdict = service.predictor.verdict(prediction, abstain)
    answer: dict[str, Any] = {
        "label": verdict.label,
        "confidence": round(verdict.confidence, 6),
        "prediction": prediction,
        "in_domain": None if reading.in_domain is None else bool(reading.in_domain[0]),
        "width": picture.width,
        "height": picture.height,
        "resized": picture.pixels.shape[:2] != (picture.height, picture.width),
    }
    if explained:
        [heat] = service.predictor.explain([picture.pixels])
        answer["explanation"] = {"method": "gradcam", "heatmap": _png(heat)}
    return answer


def _abstain() -> float:
    """The confidence below which the label is UNCERTAIN; 0, that of no answer, where none is asked for."""
    text = request.args.get("abstain", "0")
    try:
        abstain = float(text)
    except ValueError:
        abstain = -1.0
    if not 0 <= abstain <= 1:
        raise BadRequestProblem(f"abstain must be a confidence from 0 to 1, such as 0.9, not {text!r}")
    return abstain


def _explained() -> bool:
    method = request.args.get("explain")
    if method not in (None, "gradcam"):
        raise BadRequestProblem(f"explain must be gradcam, not {method!r}")
    return method is not None


def _png(heat: np.ndarray) -> str:
    """A heat map in [0, 1] as the data URL of a grey PNG, white where it is 1."""
    file = io.BytesIO()
    Image.fromarray(np.rint(heat * 255).astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
