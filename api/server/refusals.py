"""Responses to requests that gunicorn's parser refuses, so that the application never sees them."""

import time
from collections.abc import Mapping
from http import HTTPStatus

from gunicorn.http import errors
from gunicorn.util import http_date

from api.errors import PROBLEM_TYPE, problem_json, status_slug
from api.monitoring.record import RequestRecord
from api.security.headers import SECURITY_HEADERS

DETAIL_CHARACTERS = 300  # errors quote what they refuse

# gunicorn's status where it is not 400, and a sentence where its own does not say what to do.
STATUSES: Mapping[type[Exception], tuple[HTTPStatus, str]] = {
    errors.LimitRequestLine: (
        HTTPStatus.REQUEST_URI_TOO_LONG,
        "the request line is too long; send less in the query",
    ),
    errors.LimitRequestHeaders: (
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "the header has too many fields, or one that is too long; send fewer or shorter ones",
    ),
    errors.ExpectationFailed: (HTTPStatus.EXPECTATION_FAILED, ""),
    errors.UnsupportedTransferCoding: (HTTPStatus.NOT_IMPLEMENTED, ""),
    errors.ForbiddenProxyRequest: (HTTPStatus.FORBIDDEN, ""),
    errors.ConfigurationProblem: (HTTPStatus.INTERNAL_SERVER_ERROR, ""),
    # The application is at fault; the next two are subclasses of errors that are the client's.
    errors.InvalidResponseHeader: (HTTPStatus.INTERNAL_SERVER_ERROR, ""),
    errors.InvalidResponseHeaderName: (HTTPStatus.INTERNAL_SERVER_ERROR, ""),
}


def refusal(error: Exception) -> tuple[HTTPStatus, str]:
    """The status code and `detail` for an error of `gunicorn.http.errors`, or any other, which is 500."""
    default = HTTPStatus.BAD_REQUEST, ""
    if not isinstance(error, errors.ParseException):
        default = HTTPStatus.INTERNAL_SERVER_ERROR, ""
    status, detail = STATUSES.get(type(error), default)
    if status == HTTPStatus.INTERNAL_SERVER_ERROR:
        return status, "the server failed; its log has this request's id"
    message = str(error)
    return status, detail or (message[:1].lower() + message[1:])[:DETAIL_CHARACTERS]


def refusal_record(status: HTTPStatus, request_id: str, started_at: float) -> RequestRecord:
    """What the metrics count. started_at: when the first byte came, by time.monotonic()."""
    return RequestRecord(
        route="unparsed",
        method="_OTHER",
        status=status.value,
        problem=status_slug(status),
        request_id=request_id,
        parent=None,
        started_at=started_at,
        seconds=time.monotonic() - started_at,
        stages={},
    )


def refusal_response(status: HTTPStatus, detail: str, request_id: str) -> bytes:
    """A whole HTTP/1.1 response, after which the connection is closed."""
    body = problem_json(status, status_slug(status), detail, request_id).encode()
    security = "".join(f"{name}: {value}\r\n" for name, value in SECURITY_HEADERS.items())
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\n"
        f"Date: {http_date()}\r\n"
        "Connection: close\r\n"
        f"Content-Type: {PROBLEM_TYPE}\r\n"
        f"Content-Length: {len(body)}\r\n"
        f"X-Request-ID: {request_id}\r\n"
        f"{security}"
        "\r\n"
    )
    return head.encode() + body
