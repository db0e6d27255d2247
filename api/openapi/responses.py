"""Responses that operations share, and the headers of all."""

from collections.abc import Mapping
from typing import Any

from api.errors import PROBLEM_TYPE
from api.openapi.schemas import COUNT, STRING, Schema, described, ref

PROBLEMS: Mapping[int, str] = {
    400: "the request is malformed or lacks something",
    401: "there is no API key, or it is not one of the service's",
    403: "this API key may not do that",
    404: "there is nothing of that name",
    408: "the client stopped sending its request",
    409: "not in this state: the job has no result, or a checkpoint is being loaded",
    413: "too many bytes, pixels or files",
    414: "the request line is too long",
    415: "not a format that is read, a body under another Content-Type, or one with a Content-Encoding",
    422: "the right format, but cut short or damaged; or what was asked for cannot be done with it",
    429: "too many requests wait, or this client has asked too often",
    431: "the request's header is too long",
    500: "the server failed; its log has the request's id",
    503: "not ready, or about to stop",
    504: "the answer did not come in time",
    507: "the server has no room for the upload, or cannot write to its output folder",
}
RETRIED = (429, 503)

HEADERS: Mapping[str, Schema] = {
    "X-Request-ID": described(STRING, "that of the request's header, or a new one; it is in the log too"),
    "ETag": described(STRING, "tells this content from others (RFC 9110, section 8.8.3)"),
    "Retry-After": described(COUNT, "seconds to wait before the next try"),
    "Server-Timing": described(STRING, "milliseconds of each stage: parse, decode, queue, infer"),
    "X-Unreadable-Count": described(COUNT, "files that could not be read and are left out"),
    "X-Out-Of-Domain-Count": described(COUNT, "pictures unlike the training data"),
    "X-Out-Of-Domain-Size-Count": described(COUNT, "those of them that are so for their size"),
    "X-Prediction": described({"enum": ["P(REAL)", "P(FAKE)"]}, "what `prediction` is"),
    "X-Label-1-In-Training-Data": described(
        STRING, "REAL or FAKE; with `; assumed` if the model does not say"
    ),
    "Location": described(STRING, "where to ask for the job"),
    "Preference-Applied": {"const": "respond-async"},
    "WWW-Authenticate": STRING,
    "Inference-Header-Content-Length": described(COUNT, "bytes of the JSON, after which binary data follows"),
}
BATCH_HEADERS = (
    "X-Unreadable-Count",
    "X-Out-Of-Domain-Count",
    "X-Out-Of-Domain-Size-Count",
    "X-Prediction",
    "X-Label-1-In-Training-Data",
)


def header_components() -> dict[str, Any]:
    """The headers by their names."""
    return {
        name: {"description": schema.get("description", ""), "schema": schema, "required": True}
        for name, schema in HEADERS.items()
    }


def problem_components(with_keys: bool) -> dict[str, Any]:
    """The problems by their statuses."""
    return {
        f"Problem{status}": response(text, {PROBLEM_TYPE: ref("Problem")}, *_problem_headers(status))
        for status, text in PROBLEMS.items()
        if with_keys or status != 401
    }


def _problem_headers(status: int) -> tuple[str, ...]:
    if status in RETRIED:
        return ("Retry-After",)
    return ("WWW-Authenticate",) if status == 401 else ()


def response(text: str, content: Mapping[str, Schema | dict[str, Any]], *headers: str) -> dict[str, Any]:
    """A response. content: schemas by media types, or with `example` the media type's whole object."""
    found: dict[str, Any] = {
        "description": text,
        "headers": {name: {"$ref": f"#/components/headers/{name}"} for name in ("X-Request-ID", *headers)},
    }
    if content:
        found["content"] = {
            media_type: schema if "schema" in schema else {"schema": schema}
            for media_type, schema in content.items()
        }
    return found


def problems(*statuses: int) -> dict[str, Any]:
    """References to the problems of these statuses."""
    return {str(status): {"$ref": f"#/components/responses/Problem{status}"} for status in statuses}
