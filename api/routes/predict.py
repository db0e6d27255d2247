"""`POST /predict`: classifies one picture."""

import base64
import io
import time
from typing import Any

import numpy as np
from flask import Blueprint, Response, g, jsonify, request
from PIL import Image

from api.errors import BadRequestProblem
from api.parameters import check_query
from api.service import current_service
from api.uploads import read_picture
from model.images.provenance import read_provenance

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """The label of one picture, its confidence, P(REAL), and whether the picture is in the model's domain."""
    service = current_service()
    check_query("abstain", "explain", "provenance")
    abstain, explain, provenance = _abstain_threshold(), _wants_explanation(), _wants_provenance()
    deadline = service.deadline()
    data = read_picture(service.settings.max_image_bytes, deadline)
    parsed_at = time.monotonic()
    picture = service.decode_picture(data, deadline)
    decoded_at = time.monotonic()
    result = service.predict([picture.pixels], deadline)
    [predicted] = result.values
    prediction = predicted.prediction
    in_domain, reason = picture.domain(predicted)
    decision = service.predictor.decide(prediction, abstain)
    body: dict[str, Any] = {
        "label": decision.label,
        "confidence": round(decision.confidence, 6),
        "prediction": prediction,
        "in_domain": in_domain,
        "out_of_domain_reason": reason,
        "width": picture.width,
        "height": picture.height,
        "resized": picture.pixels.shape[:2] != (picture.height, picture.width),
    }
    if explain:
        heat = service.explain(picture.pixels, prediction, deadline)
        body["explanation"] = {"method": "gradcam", "heatmap": _png_data_url(heat)}
    if provenance:
        body["provenance"] = read_provenance(data, deadline).to_json()
    response = jsonify(body)
    response.headers["Server-Timing"] = _server_timing(
        parse=parsed_at - g.started_at,
        decode=decoded_at - parsed_at,
        queue=result.queue_seconds,
        infer=result.compute_seconds,
    )
    return response


def _server_timing(**seconds: float) -> str:
    """The header `Server-Timing` (W3C) with the duration of each stage in milliseconds."""
    return ", ".join(f"{name};dur={value * 1000:.3f}" for name, value in seconds.items())


def _abstain_threshold() -> float:
    """The confidence below which the label is UNCERTAIN; 0 by default."""
    text = request.args.get("abstain", "0")
    try:
        abstain = float(text)
    except ValueError:
        abstain = -1.0
    if not 0 <= abstain <= 1:
        raise BadRequestProblem(f"abstain must be a confidence from 0 to 1, such as 0.9, not {text!r}")
    return abstain


def _wants_explanation() -> bool:
    method = request.args.get("explain")
    if method not in (None, "gradcam"):
        raise BadRequestProblem(f"explain must be gradcam, not {method!r}")
    return method is not None


def _wants_provenance() -> bool:
    text = request.args.get("provenance", "0")
    if text not in ("0", "1"):
        raise BadRequestProblem(f"provenance must be 0 or 1, not {text!r}")
    return text == "1"


def _png_data_url(heat: np.ndarray) -> str:
    """Encode a heat map in [0, 1] as a grayscale PNG in a data URL; 1 is white."""
    file = io.BytesIO()
    Image.fromarray(np.rint(heat * 255).astype(np.uint8)).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
