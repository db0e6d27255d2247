"""Error responses of all routes as RFC 9457 `application/problem+json`."""

import errno
import logging
import os
import time
import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import ClassVar

from flask import Flask, Response, g, json, request
from werkzeug.exceptions import HTTPException
from werkzeug.http import HTTP_STATUS_CODES

from api.security.redaction import redact
from api.server.environ import FIRST_BYTE_AT, REJECTED
from model.images.errors import (
    BrokenImageError,
    DecoderBusyError,
    DecodeTimeoutError,
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
)

log = logging.getLogger(__name__)

PROBLEM_TYPE = "application/problem+json"
RETRY_AFTER = {"Retry-After": "1"}
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


class Problem(Exception):
    """An error response. detail: says what to do about it. members: extension members of the JSON."""

    status = HTTPStatus.INTERNAL_SERVER_ERROR
    slug = "internal-error"
    headers: ClassVar[Mapping[str, str]] = {}

    def __init__(self, detail: str, **members: object) -> None:
        super().__init__(detail)
        self.detail = detail
        self.members = members


class BadRequestProblem(Problem):
    """The request is malformed or lacks something."""

    status, slug = HTTPStatus.BAD_REQUEST, "bad-request"


class TooLargeProblem(Problem):
    """Too many bytes, pixels or files."""

    status, slug = HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too-large"


class UnsupportedProblem(Problem):
    """The format of the file, or of the request's body, is not supported."""

    status, slug = HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "unsupported-format"


class ContentEncodingProblem(UnsupportedProblem):
    """The request's body is compressed or otherwise encoded (RFC 9110, section 15.5.16)."""

    headers: ClassVar[Mapping[str, str]] = {"Accept-Encoding": "identity"}


class BrokenProblem(Problem):
    """A supported format, but truncated or damaged."""

    status, slug = HTTPStatus.UNPROCESSABLE_ENTITY, "broken-file"


class NotReadyProblem(Problem):
    """The model is not loaded, or does not answer."""

    status, slug = HTTPStatus.SERVICE_UNAVAILABLE, "not-ready"
    headers = RETRY_AFTER


class BusyProblem(Problem):
    """A queue is full."""

    status, slug = HTTPStatus.TOO_MANY_REQUESTS, "busy"
    headers = RETRY_AFTER


class NotFoundProblem(Problem):
    """There is nothing of that name."""

    status, slug = HTTPStatus.NOT_FOUND, "not-found"


class UnfinishedProblem(Problem):
    """The job has no result: it is not done yet, or ended without one."""

    status, slug = HTTPStatus.CONFLICT, "not-done"


class KeyReusedProblem(Problem):
    """The Idempotency-Key is another request's (draft-ietf-httpapi-idempotency-key-header, section 2.7)."""

    status, slug = HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency-key-reused"


class JobsUnavailableProblem(Problem):
    """The record of jobs cannot be read or written."""

    status, slug = HTTPStatus.SERVICE_UNAVAILABLE, "jobs-unavailable"
    headers: ClassVar[Mapping[str, str]] = {"Retry-After": "10"}


class ManyJobsProblem(BusyProblem):
    """Too many jobs wait."""

    headers: ClassVar[dict[str, str]] = {"Retry-After": "60"}


class StalledProblem(Problem):
    """The client stopped sending its request."""

    status, slug = HTTPStatus.REQUEST_TIMEOUT, "stalled"


class StorageProblem(Problem):
    """The server has no disk space for the upload."""

    status, slug = HTTPStatus.INSUFFICIENT_STORAGE, "insufficient-storage"


class DeadlineProblem(Problem):
    """The deadline of the request has passed."""

    status, slug = HTTPStatus.GATEWAY_TIMEOUT, "late"


IMAGE_PROBLEMS: dict[type[ImageError], type[Problem]] = {
    UnsupportedImageError: UnsupportedProblem,
    BrokenImageError: BrokenProblem,
    ImageTooLargeError: TooLargeProblem,
}


def register_errors(app: Flask) -> None:
    """Register request ids and the error handlers."""

    @app.before_request
    def start_request() -> None:
        g.started_at = request.environ.get(FIRST_BYTE_AT) or time.monotonic()
        client_id = request.headers.get("X-Request-ID", "")
        valid = 0 < len(client_id) <= 128 and client_id.isascii() and client_id.isprintable()
        g.request_id = client_id if valid else str(uuid.uuid4())
        if REJECTED in request.environ:
            raise BusyProblem("too many requests are queued; retry in a second")

    @app.after_request
    def add_request_id(response: Response) -> Response:
        response.headers["X-Request-ID"] = g.request_id
        return response

    @app.errorhandler(Problem)
    def problem(error: Problem) -> Response:
        response = _problem_response(error.status, error.slug, error.detail, **error.members)
        response.headers.update(error.headers)
        return response

    @app.errorhandler(ImageError)
    def image_error(error: ImageError) -> Response:
        return problem(IMAGE_PROBLEMS[type(error)](str(error)))

    @app.errorhandler(DecodeTimeoutError)
    def decode_timeout(error: DecodeTimeoutError) -> Response:
        return problem(DeadlineProblem(str(error)))

    @app.errorhandler(DecoderBusyError)
    def decoder_busy(error: DecoderBusyError) -> Response:
        return problem(BusyProblem(str(error)))

    @app.errorhandler(OSError)
    def storage(error: OSError) -> Response:
        if lacks_storage(error):
            return problem(StorageProblem(f"the server cannot store the upload: {storage_reason(error)}"))
        return unexpected(error)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Response:
        code = error.code or 500
        response = _problem_response(code, status_slug(code), error.description or "")
        for name, value in error.get_headers():
            if name.lower() not in ("content-type", "content-length"):
                response.headers[name] = value  # such as Allow for 405
        return response

    @app.errorhandler(Exception)
    def unexpected(error: Exception) -> Response:
        log.error("request %s failed", g.request_id, exc_info=error)
        return _problem_response(500, "internal-error", "the server failed; its log has this request's id")


def problem_json(status: int, slug: str, detail: str, request_id: str, **members: object) -> str:
    """The body of an error response (RFC 9457)."""
    return json.dumps(problem_object(status, slug, detail, request_id=request_id, **members))


def problem_object(status: int, slug: str, detail: str, **members: object) -> dict[str, object]:
    """The members of an error's JSON (RFC 9457)."""
    return {
        "type": f"urn:cifake:problem:{slug}",
        "title": HTTP_STATUS_CODES.get(status, "Error"),
        "status": int(status),
        "detail": redact(detail),
        **members,
    }


def lacks_storage(error: OSError) -> bool:
    """Whether the disk is full or read-only."""
    no_temporary_folder = str(error.strerror).startswith("No usable temporary directory")
    return no_temporary_folder or error.errno in NO_ROOM


def storage_reason(error: OSError) -> str:
    """Why something cannot be stored, without the name of a folder, which `strerror` may have in it."""
    if error.errno == errno.ENOENT:
        return "it has no temporary folder"
    return os.strerror(error.errno or 0)


def status_slug(status: int) -> str:
    """The slug of an error that has no Problem class, from the status code's name, such as `not-found`."""
    if status == Problem.status:
        return Problem.slug
    return HTTP_STATUS_CODES.get(status, "error").lower().replace(" ", "-")


def _problem_response(status: int, slug: str, detail: str, **members: object) -> Response:
    g.problem = slug
    if f"{request.path}/".startswith("/v2/"):  # where clients read `error` (Open Inference Protocol)
        members["error"] = detail
    body = problem_json(status, slug, detail, g.request_id, **members)
    return Response(body, status=status, mimetype=PROBLEM_TYPE)
