import io

import pytest
from flask import Flask
from flask.testing import FlaskClient

MEMBERS = {"type", "title", "status", "detail", "request_id"}


def every_route(app: Flask) -> list[tuple[str, str]]:
    return [
        (rule.rule, method)
        for rule in app.url_map.iter_rules()
        if "<" not in rule.rule
        for method in ("GET", "POST", "DELETE")
        if method not in (rule.methods or ())
    ]


def test_wrong_methods_are_problems_on_every_route(app: Flask, client: FlaskClient) -> None:
    routes = every_route(app)
    assert len(routes) > 8
    for path, method in routes:
        response = client.open(path, method=method)
        assert response.status_code == 405
        assert response.mimetype == "application/problem+json"
        assert set(response.json) == MEMBERS
        assert response.headers["Allow"]


def test_unknown_path(client: FlaskClient) -> None:
    response = client.get("/nowhere")
    assert response.status_code == 404
    assert response.json["title"] == "Not Found"
    assert response.json["status"] == 404


def test_a_failure_of_ours_hides_its_cause_and_is_logged(
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


def test_request_id_is_taken_over_when_sound(client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["X-Request-ID"] == "abc-1"
    assert client.get("/nowhere", headers={"X-Request-ID": "abc-1"}).json["request_id"] == "abc-1"
    made = client.get("/livez", headers={"X-Request-ID": "x" * 200}).headers["X-Request-ID"]
    assert len(made) == 36


def test_a_refused_upload_is_read_to_its_end(client: FlaskClient) -> None:
    """A server that closes while the client still sends makes the client see a reset, not the answer."""
    body = io.BytesIO(b"x" * 1_000_000)
    response = client.post("/predict", input_stream=body, content_length=1_000_000)
    assert response.status_code == 413
    assert body.tell() == 1_000_000
