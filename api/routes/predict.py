"""`POST /predict`: one picture, one answer."""

import base64
import io
import time
from typing import Any

import numpy as np
from flask import Blueprint, Response, g, jsonify, request
from PIL import Image

from api.errors import BadRequestProblem
from api.service import current_service
from api.uploads import picture_bytes

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """The label of one picture, the probability of that label, P(REAL), and whether to trust them."""
    service = current_service()
    abstain, explained = _abstain(), _explained()
    deadline = service.deadline()
    data = picture_bytes(service.settings.max_image_bytes, deadline)
    parsed = time.monotonic()
    picture = service.picture(data, deadline)
    decoded = time.monotonic()
    answers = service.predict([picture.pixels], deadline)
    [(prediction, in_domain)] = answers.values
    decision = service.predictor.decide(prediction, abstain)
    answer: dict[str, Any] = {
        "label": decision.label,
        "confidence": round(decision.confidence, 6),
        "prediction": prediction,
        "in_domain": in_domain,
        "width": picture.width,
        "height": picture.height,
        "resized": picture.pixels.shape[:2] != (picture.height, picture.width),
    }
    if explained:
        heat = service.explain(picture.pixels, prediction, deadline)
        answer["explanation"] = {"method": "gradcam", "heatmap": _png(heat)}
    response = jsonify(answer)
    response.headers["Server-Timing"] = server_timing(
        parse=parsed - g.begun, decode=decoded - parsed, queue=answers.queued, infer=answers.computed
    )
    return response


def server_timing(**seconds: float) -> str:
    """The header `Server-Timing` for stages that took so long, in milliseconds."""
    return ", ".join(f"{name};dur={value * 1000:.3f}" for name, value in seconds.items())


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
