import pytest
from flask import Flask, Response
from flask.testing import FlaskClient

from api.security.headers import SECURITY_HEADERS
from tests.pictures import encode, noise


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/livez", 200),
        ("GET", "/model", 200),
        ("OPTIONS", "/predict", 200),
        ("POST", "/predict", 200),
        ("PUT", "/predict", 405),
        ("GET", "/nowhere", 404),
        ("GET", "/fail", 500),
        ("GET", "/batch/1", 404),
    ],
)
def test_every_answer_has_them(method: str, path: str, status: int, app: Flask) -> None:
    app.add_url_rule("/fail", view_func=lambda: 1 / 0)
    response = app.test_client().open(path, method=method, data=encode(noise(1)))
    assert response.status_code == status
    assert {name: response.headers.getlist(name) for name in SECURITY_HEADERS} == {
        name: [value] for name, value in SECURITY_HEADERS.items()
    }


def test_an_answer_keeps_those_that_it_has(app: Flask) -> None:
    own = {"content-security-policy": "default-src 'self'", "Cache-Control": "max-age=60"}
    app.add_url_rule("/page", view_func=lambda: Response("", headers=own))
    response = app.test_client().get("/page")
    assert {name: response.headers.getlist(name) for name in own} == {
        name: [value] for name, value in own.items()
    }
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_pictures_are_not_stored(client: FlaskClient) -> None:
    for path in ("/predict?explain=gradcam", "/predict"):
        response = client.post(path, data=encode(noise(1)))
        assert (response.status_code, response.headers["Cache-Control"]) == (200, "no-store")
