"""`POST /predict`: classifies one picture."""

import base64
import io
import time
from collections.abc import Mapping
from typing import Any

import numpy as np
from flask import Blueprint, Response, g, jsonify, request
from PIL import Image

from api.errors import BadRequestProblem
from api.parameters import check_query, flag, quoted
from api.service import current_service
from api.uploads import read_picture
from model.images.provenance import read_provenance

blueprint = Blueprint("predict", __name__)


@blueprint.post("/predict")
def predict() -> Response:
    """The label of one picture, its confidence, P(REAL), and whether the picture is in the model's domain."""
    service = current_service()
    check_query("abstain", "explain", "input", "provenance", "format")
    abstain, explain = _abstain_threshold(), _wants_explanation()
    with_input, provenance = flag("input"), flag("provenance")
    for_hugging_face = _wants_hugging_face_format()
    deadline = service.deadline()
    data = read_picture(service.settings.max_image_bytes, deadline)
    parsed_at = time.monotonic()
    picture = service.decode_picture(data, deadline)
    decoded_at = time.monotonic()
    result = service.predict([picture], deadline)
    [(prediction, in_domain, reason)] = result.values
    scores = {"REAL": prediction, "FAKE": round(1 - prediction, 6)}
    predictor = service.predictor
    decision = predictor.decide(prediction, abstain)
    body: dict[str, Any] = {
        "label": decision.label,
        "confidence": round(decision.confidence, 6),
        "prediction": prediction,
        "scores": scores,
        "in_domain": in_domain,
        "out_of_domain_reason": reason,
        "width": picture.width,
        "height": picture.height,
        "resized": picture.pixels.shape[:2] != (picture.height, picture.width),
        "model": predictor.metadata.short_digest,
        "request_id": g.request_id,
    }
    if explain:
        heat = service.explain(picture.pixels, prediction, deadline)
        grey = np.rint(heat * 255).astype(np.uint8)  # 1 is white
        body["explanation"] = {"method": "gradcam", "heatmap": _png_data_url(grey)}
    if with_input:
        body["input"] = _png_data_url(picture.pixels)
    if provenance:
        body["provenance"] = read_provenance(data, deadline).to_json()
    response = jsonify(_hugging_face_scores(scores) if for_hugging_face else body)
    g.stages = {
        "parse": parsed_at - g.started_at,
        "decode": decoded_at - parsed_at,
        "queue": result.queue_seconds,
        "infer": result.compute_seconds,
    }
    response.headers["Server-Timing"] = _server_timing(g.stages)
    return response


def _server_timing(stages: Mapping[str, float]) -> str:
    """The header `Server-Timing` (W3C) with the duration of each stage, from seconds, in milliseconds."""
    return ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in stages.items())


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


def _wants_hugging_face_format() -> bool:
    name = request.args.get("format", "json")
    if name not in ("json", "huggingface"):
        raise BadRequestProblem(f"format must be json or huggingface, not {quoted(name)}")
    if name == "json":
        return False
    if others := request.args.keys() - {"format"}:
        raise BadRequestProblem(
            f"format=huggingface has no place for {quoted(*sorted(others))}; leave one of them out"
        )
    return True


def _hugging_face_scores(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """The labels by falling score, as the Inference API of Hugging Face classifies images."""
    falling = sorted(scores.items(), key=lambda item: -item[1])
    return [{"label": label, "score": score} for label, score in falling]


def _png_data_url(pixels: np.ndarray) -> str:
    """Pixels, uint8 of shape (height, width), which are grey, or (height, width, 3), as PNG in a data URL."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
