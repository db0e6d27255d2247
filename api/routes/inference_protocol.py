"""`/v2`: the Open Inference Protocol, version 2, of the one model `cifake`."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Blueprint, Response, g, request

from api.errors import IMAGE_PROBLEMS, DeadlineProblem, NotFoundProblem, TooLargeProblem
from api.inference_protocol import tensors
from api.inference_protocol.messages import JSON_LENGTH, InferenceRequest, encode_response, parse_request
from api.inference_protocol.tensors import Output
from api.parameters import check_query, quoted
from api.service import InputPicture, Service, current_service
from api.settings import Settings
from api.uploads import ENCODING_OVERHEAD, limit_upload
from model.images.errors import ImageError
from model.images.headers import declared_pixels

blueprint = Blueprint("inference_protocol", __name__, url_prefix="/v2")

MODEL = "cifake"
VERSION = f"/models/{MODEL}/versions/<version>"
BATCHES, MAX_PICTURES = 8, 1024  # of one request

_parsing = threading.Lock()  # hostile JSON takes 65 MB at 256 pictures, 170 MB at 1,024, until it is refused


@blueprint.get("")
def server_metadata() -> dict[str, Any]:
    """The server's name, version and extensions."""
    check_query()
    return {"name": "cifake-detector", "version": "2", "extensions": ["binary_tensor_data"]}


@blueprint.get("/health/live")
def live() -> dict[str, bool]:
    """200 while the process answers."""
    check_query()
    return {"live": True}


@blueprint.get("/health/ready")
def ready() -> dict[str, bool]:
    """200 if the model predicts a blank picture in time, else 503."""
    check_query()
    current_service().check_ready()
    return {"ready": True}


@blueprint.get(f"/models/{MODEL}")
@blueprint.get(VERSION)
def model_metadata(version: str | None = None) -> dict[str, Any]:
    """The model's versions, of which the served one is known, and its tensors."""
    check_query()
    served = _check_version(version)
    predictor = current_service().predictor
    framework, precision, _ = predictor.info
    platform = f"{framework}_{precision}".lower()
    return {"name": MODEL, "versions": [served], "platform": platform} | tensors.metadata(
        predictor.preprocess.size
    )


@blueprint.get(f"/models/{MODEL}/ready")
@blueprint.get(f"{VERSION}/ready")
def model_ready(version: str | None = None) -> dict[str, Any]:
    """As `/v2/health/ready`: there is one model."""
    check_query()
    _check_version(version)
    current_service().check_ready()
    return {"name": MODEL, "ready": True}


@blueprint.post(f"/models/{MODEL}/infer")
@blueprint.post(f"{VERSION}/infer")
def infer(version: str | None = None) -> Response:
    """Predictions for pixels, or for files, which are read as those of `/predict` are."""
    check_query()
    served = _check_version(version)
    service = current_service()
    deadline = service.deadline()
    asked = _read_request(service, deadline)
    pictures = _decode(service, asked.pictures, deadline)
    values = _predict(service, pictures, deadline)
    members = {"model_name": MODEL, "model_version": served, "id": asked.id or g.request_id}
    body, json_length = encode_response(members, values, asked.outputs)
    if json_length is None:
        return Response(body, mimetype="application/json")
    return Response(body, mimetype="application/octet-stream", headers={JSON_LENGTH: str(json_length)})


def max_pictures(settings: Settings) -> int:
    """The most pictures of one request."""
    return min(BATCHES * settings.batch_size, MAX_PICTURES)


def max_body_bytes(settings: Settings) -> int:
    """The largest body of one request: that of a picture in base64, as at `/predict`."""
    return settings.max_image_bytes * 4 // 3 + ENCODING_OVERHEAD


def _check_version(version: str | None) -> str:
    """The version that is served: the first 12 digits of the checkpoint's digest. Raises NotFoundProblem."""
    served = current_service().predictor.metadata.short_digest
    if version not in (None, served):
        raise NotFoundProblem(
            f"there is no version {quoted(version or '')} of the model: served is {quoted(served)}; leave it "
            f"out of the path to ask the one that is served"
        )
    return served


def _read_request(service: Service, deadline: float) -> InferenceRequest:
    limit_upload(max_body_bytes(service.settings), deadline)
    body = request.get_data(cache=False)
    with _in_turn(deadline):
        return parse_request(
            body,
            request.headers.get(JSON_LENGTH),
            service.predictor.preprocess.size,
            max_pictures(service.settings),
        )


@contextmanager
def _in_turn(deadline: float) -> Iterator[None]:
    """Parse one request at a time. Raises DeadlineProblem."""
    if not _parsing.acquire(timeout=max(0.0, deadline - time.monotonic())):
        raise DeadlineProblem("the request could not be parsed in time; the server is busy")
    try:
        yield
    finally:
        _parsing.release()


def _decode(service: Service, pictures: Any, deadline: float) -> list[InputPicture]:
    """Pictures for the network. Together, files may have the pixels that one may have at `/predict`."""
    if not isinstance(pictures, list):
        size = service.predictor.preprocess.size
        return [InputPicture(pixels, size, size, False) for pixels in pictures]
    most = service.settings.max_image_pixels
    if sum(map(declared_pixels, pictures)) > most:
        raise _too_many_pixels(most)
    decoded: list[InputPicture] = []
    pixels = 0
    for number, data in enumerate(pictures):
        try:
            picture = service.decode_picture(data, deadline)
        except ImageError as error:
            raise IMAGE_PROBLEMS[type(error)](f"file {number} of the input: {error}") from error
        pixels += picture.width * picture.height
        if pixels > most:
            raise _too_many_pixels(most)
        decoded.append(picture)
    return decoded


def _too_many_pixels(most: int) -> TooLargeProblem:
    return TooLargeProblem(
        f"the files of a request may have {most} pixels together; send several, or a batch to /batch"
    )


def _predict(service: Service, pictures: list[InputPicture], deadline: float) -> dict[Output, list[Any]]:
    values: dict[Output, list[Any]] = {name: [] for name in tensors.OUTPUTS}
    step = service.batcher.max_batch_size
    for start in range(0, len(pictures), step):
        predicted = service.predict(pictures[start : start + step], deadline).values
        for prediction, in_domain, reason in predicted:
            decision = service.predictor.decide(prediction)
            values["prediction"].append(prediction)
            values["label"].append(decision.label)
            values["confidence"].append(round(decision.confidence, 6))
            values["in_domain"].append(bool(in_domain))
            values["out_of_domain_reason"].append(reason or ("unknown" if in_domain is None else ""))
    return values
