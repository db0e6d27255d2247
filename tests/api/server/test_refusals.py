"""Requests that gunicorn's parser refuses, and its errors one by one."""

import json
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from gunicorn.http import errors
from gunicorn.workers import base

from api.server.refusals import DETAIL_CHARACTERS, refusal, refusal_response
from tests.api.monitoring.test_metrics import samples
from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server

CHUNKED = (
    b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
)
REQUESTS = {
    "no request line": (400, b"GET\r\n\r\n"),
    "a line of noise": (400, b"\x16\x03\x01\x02\x00\r\n\r\n"),
    "an asterisk": (400, b"GET * HTTP/1.1\r\n\r\n"),
    "control characters": (400, b"GET /\x01 HTTP/1.1\r\n\r\n"),
    "a method in lower case": (400, b"get / HTTP/1.1\r\n\r\n"),
    "a version of two digits": (400, b"GET / HTTP/11.1\r\n\r\n"),
    "another version": (400, b"GET / HTTP/2.0\r\n\r\n"),
    "a long target": (414, b"GET /" + b"x" * 9000 + b" HTTP/1.1\r\n\r\n"),
    "a long target without end": (414, b"GET /" + b"x" * 70_000),
    "a long field": (431, b"GET / HTTP/1.1\r\nCookie: " + b"x" * 9000 + b"\r\n\r\n"),
    "many fields": (431, b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 200 + b"\r\n"),
    "a field without colon": (400, b"GET / HTTP/1.1\r\nHost\r\n\r\n"),
    "a field name with a space": (400, b"GET / HTTP/1.1\r\nHo st: x\r\n\r\n"),
    "a control character in a field": (400, b"GET / HTTP/1.1\r\nHost: x\x01\r\n\r\n"),
    "a folded field": (400, b"GET / HTTP/1.1\r\nHost: x\r\n y\r\n\r\n"),
    "two hosts": (400, b"GET / HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"),
    "a length of letters": (400, b"POST / HTTP/1.1\r\nContent-Length: ten\r\n\r\n"),
    "a negative length": (400, b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n"),
    "two lengths": (400, b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"),
    "chunks and a length": (400, CHUNKED[:-2] + b"Content-Length: 1\r\n\r\n0\r\n\r\n"),
    "an unknown coding": (501, b"POST / HTTP/1.1\r\nTransfer-Encoding: zip\r\n\r\n"),
    "a coding that is not chunked": (400, b"POST / HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n"),
    "an unknown expectation": (417, b"GET / HTTP/1.1\r\nHost: x\r\nExpect: more\r\n\r\n"),
    "a chunk size of letters": (400, CHUNKED + b"zz\r\nabc\r\n0\r\n\r\n"),
    "a chunk without its end": (400, CHUNKED + b"1\r\nabc\r\n0\r\n\r\n"),
    "a malformed chunk extension": (400, CHUNKED + b"1;=\r\na\r\n0\r\n\r\n"),
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    with gunicorn_server(
        tmp_path_factory.mktemp("server"), application=STAND_IN, WORKERS="2", STALL_SECONDS="1"
    ) as running:
        yield running


def requests_by_route(server: GunicornServer) -> Counter[str]:
    """What the metrics of all workers have counted, but for those that ask for it."""
    counted: Counter[str] = Counter()
    for (name, labels), value in samples(server.get("/metrics")[1].decode()).items():
        route = dict(labels).get("route", "")
        if name == "cifake_http_requests_total" and route not in ("/metrics", "/readyz"):
            counted[f"{route} {dict(labels)['method']} {dict(labels)['status']}"] += int(value)
    return counted


def test_every_request_is_counted_once(server: GunicornServer) -> None:
    """By the workers together, which write what they have counted once a second. First of this module."""
    expected: Counter[str] = Counter()
    for status, request in REQUESTS.values():
        in_body = request.startswith(CHUNKED)  # read by the application
        assert server.send(request).startswith(b"HTTP/1.1 %d " % status)
        expected[f"/predict POST {status}" if in_body else f"unparsed _OTHER {status}"] += 1
    deadline = time.monotonic() + 30
    while (counted := requests_by_route(server)) != expected and time.monotonic() < deadline:
        time.sleep(0.2)
    assert counted == expected
    time.sleep(1.5)
    assert requests_by_route(server) == expected


@pytest.mark.parametrize("name", REQUESTS)
def test_a_refused_request_is_answered_with_a_problem(name: str, server: GunicornServer) -> None:
    status, request = REQUESTS[name]
    head, _, body = server.send(request).partition(b"\r\n\r\n")
    status_line, *fields = head.decode().split("\r\n")
    headers = dict(field.split(": ", 1) for field in fields)
    assert status_line.startswith(f"HTTP/1.1 {status} ")
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Connection"] == "close"
    assert int(headers["Content-Length"]) == len(body)
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["type"].startswith("urn:cifake:problem:")
    assert problem["title"]
    assert problem["detail"][0].islower()
    assert problem["request_id"] == headers["X-Request-ID"] == str(uuid.UUID(problem["request_id"]))
    server.wait_for_log(problem["request_id"])


def test_the_server_serves_on(server: GunicornServer) -> None:
    assert server.get("/readyz")[0] == 200


def test_a_malformed_body_that_nobody_reads_is_not_answered_twice(server: GunicornServer) -> None:
    request = CHUNKED.replace(b"POST /predict", b"GET /livez") + b"zz\r\nabc\r\n0\r\n\r\n"
    assert server.send(request).count(b"HTTP/1.1 ") == 1


def gunicorn_status(error: Exception, monkeypatch: pytest.MonkeyPatch) -> int:
    """The status that gunicorn's own worker chooses."""
    chosen: list[int] = []
    monkeypatch.setattr(base.util, "write_error", lambda sock, status, *_: chosen.append(status))
    log = SimpleNamespace(warning=lambda *_: None, exception=lambda *_: None, debug=lambda *_: None)
    base.Worker.handle_error(SimpleNamespace(log=log), None, None, ("127.0.0.1", 1), error)
    return chosen[0]


KINDS = errors.ParseException.__subclasses__() + [
    kind for parent in errors.ParseException.__subclasses__() for kind in parent.__subclasses__()
]


@pytest.mark.parametrize("kind", KINDS)
def test_the_status_is_that_of_gunicorn(
    kind: type[errors.ParseException], monkeypatch: pytest.MonkeyPatch
) -> None:
    error = kind() if kind is errors.InvalidSchemeHeaders else kind("A" * 10_000)
    status, detail = refusal(error)
    # gunicorn has forgotten this one, which is only possible with its PROXY protocol, and answers 500.
    expected = 400 if kind is errors.InvalidProxyHeader else gunicorn_status(error, monkeypatch)
    assert status == expected
    assert detail[0].islower()
    assert len(detail) <= DETAIL_CHARACTERS


def test_errors_of_the_server_say_nothing_of_themselves() -> None:
    status, detail = refusal(KeyError("secret"))
    assert status == 500
    response = refusal_response(status, detail, "id")
    assert b"secret" not in response
    assert b"urn:cifake:problem:internal-error" in response  # as that of the application
