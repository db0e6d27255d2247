import errno
import http.client
import io
import threading
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.serving import make_server

from api.server.environ import REJECTED
from api.uploads import SPOOL_BYTES
from tests.conftest import served
from tests.pictures import encode, noise

MEMBERS = {"type", "title", "status", "detail", "request_id"}


def every_route(app: Flask) -> list[tuple[str, str]]:
    methods: dict[str, set[str]] = {}  # that a path has
    for rule in app.url_map.iter_rules():
        methods.setdefault(rule.rule, set()).update(rule.methods or ())
    return [
        (path, method)
        for path, known in methods.items()
        if "<" not in path
        for method in ("GET", "POST", "DELETE")
        if method not in known
    ]


def test_wrong_methods_are_problems_on_every_route(app: Flask, client: FlaskClient) -> None:
    routes = every_route(app)
    assert len(routes) > 8
    for path, method in routes:
        response = client.open(path, method=method)
        assert response.status_code == 405
        assert response.mimetype == "application/problem+json"
        assert set(response.json) - {"error"} == MEMBERS  # `error` for /v2
        assert response.headers["Allow"]


def test_unknown_path(client: FlaskClient) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.json["title"] == "Not Found"
    assert response.json["status"] == 404


def test_an_internal_error_is_logged_and_hides_its_cause(
    app: Flask, client: FlaskClient, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> str:
        raise RuntimeError("secret")

    app.add_url_rule("/fail", view_func=fail)
    response = client.get("/fail")
    assert response.status_code == 500
    assert response.mimetype == "application/problem+json"
    assert "secret" not in response.text
    assert "secret" in caplog.text
    assert response.json["request_id"] in caplog.text


def test_a_valid_request_id_is_kept(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert client.get("/nowhere", headers={"X-Request-ID": "abc-1"}).json["request_id"] == "abc-1"
    generated = client.get("/livez", headers={"X-Request-ID": "x" * 200}).headers["X-Request-ID"]
    assert len(generated) == 36


@pytest.mark.parametrize("path", ["/nowhere", "/predict", "/predict?explain=magic", "/batch?team=x"])
def test_errors_are_sent_without_reading_the_body(path: str, app: Flask) -> None:
    """Under Flask's development server, reading a body to its end would block until the connection closes."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
        connection.request("POST", path, b"not a picture", {"Content-Type": "image/png"})
        with connection.getresponse() as response:
            assert response.status in (400, 404, 415)
        connection.close()
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def test_a_rejected_request_is_answered_429(client: FlaskClient) -> None:
    response = client.get("/model", environ_overrides={REJECTED: True})
    assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
    assert set(response.json) == MEMBERS


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device"),
        (OSError(errno.EROFS, "Read-only file system"), "Read-only file system"),
        (
            FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"),
            "it has no temporary folder",
        ),
    ],
)
def test_an_upload_that_cannot_be_stored(
    error: OSError, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr("tempfile.TemporaryFile", fail)
    client = served(output_dir=str(tmp_path)).test_client()
    large = encode(noise()) + bytes(SPOOL_BYTES)
    response = client.post("/predict", data={"file": (io.BytesIO(large), "x.png")})
    assert response.status_code == 507
    assert response.json["detail"] == f"the server cannot store the upload: {reason}"
    assert client.get("/readyz").status_code == 200
    small = client.post("/predict", data={"file": (io.BytesIO(encode(noise())), "x.png")})
    assert small.status_code == 200
