from pathlib import Path

import pytest
from flask import Flask, request
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st

from api.app import create_starting_app
from api.monitoring.record import KEY_NAME
from api.security.counters import COUNTERS
from api.security.key_file import KeyFileError
from api.server.environ import METRICS_LISTENER
from tests.api.security.conftest import Keys
from tests.conftest import served
from tests.pictures import encode, noise

OPEN = {"/livez", "/readyz", "/v2/health/live", "/v2/health/ready", "/openapi.json", "/docs", "/"}


@pytest.fixture(autouse=True)
def forget_counts() -> None:
    COUNTERS.reset()


@pytest.fixture(scope="module")
def app(keys: Keys) -> Flask:
    return served(keys_file=str(keys.path))


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


class Untouched:
    """A body that must not be read."""

    def read(self, *_: object) -> bytes:
        pytest.fail("the body was read")

    readline = readinto = read


UPLOAD = {"wsgi.input": Untouched(), "CONTENT_LENGTH": "200000000"}


def test_every_route_but_the_open_ones_needs_a_key(app: Flask, client: FlaskClient) -> None:
    rules = [rule for rule in app.url_map.iter_rules() if not rule.rule.startswith(("/static/", "/docs/"))]
    assert len(rules) > 12
    for rule in rules:
        path = rule.rule.replace("<", "").replace(">", "")
        for method in sorted({"GET", "POST", "DELETE"} & (rule.methods or set())):
            environ = {} if rule.rule in OPEN else UPLOAD
            response = client.open(path, method=method, environ_overrides=environ, buffered=True)
            assert (response.status_code == 401) == (rule.rule not in OPEN), rule


@pytest.mark.parametrize("path", ["/nowhere", "/static/../model", "/livez/x", "/livez//", "/docsx", "/%2e"])
def test_unknown_paths_need_a_key_too(path: str, client: FlaskClient) -> None:
    assert client.get(path).status_code in (401, 404)
    assert client.get("/nowhere").status_code == 401
    assert client.post("/livez").status_code == 401  # and not 405


@pytest.mark.parametrize(
    "header",
    [
        ("Authorization", "Bearer {}"),
        ("Authorization", "bearer   {} "),
        ("X-API-Key", "{}"),
    ],
)
def test_a_key_is_sent_in_either_header(header: tuple[str, str], client: FlaskClient, keys: Keys) -> None:
    name, value = header
    for key in (keys.user, keys.admin):
        response = client.post("/predict", data=encode(noise(1)), headers={name: value.format(key)})
        assert response.status_code == 200
    wrong = client.get("/model", headers={name: value.format(keys.user[:-1])})
    assert (wrong.status_code, wrong.json["type"]) == (401, "urn:cifake:problem:unauthorized")
    assert wrong.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'
    assert keys.user[:-1] not in wrong.text


def test_without_a_key_the_answer_says_how_to_send_one(client: FlaskClient, keys: Keys) -> None:
    for headers in ({}, {"Authorization": "Basic dTpw"}, {"Cookie": keys.user}):
        response = client.get(f"/model?key={keys.user}", headers=headers)
        assert response.status_code == 401
        assert response.headers["WWW-Authenticate"] == "Bearer"
        assert "`Authorization: Bearer KEY` or `X-API-Key: KEY`" in response.json["detail"]


@settings(derandomize=True, deadline=None)
@given(
    text=st.text(st.characters(codec="latin-1", exclude_categories=("Cc",))),
    value=st.sampled_from(["{}", "Bearer {}"]),
)
def test_no_other_text_is_a_key(app: Flask, text: str, value: str) -> None:
    for name in ("HTTP_AUTHORIZATION", "HTTP_X_API_KEY"):
        environ = {name: value.format(text)}
        assert app.test_client().get("/model", environ_overrides=environ).status_code == 401


def test_the_environment_has_the_name_of_the_key_and_only_that(app: Flask, keys: Keys) -> None:
    with app.test_client() as client:
        client.get("/model", headers={"X-API-Key": keys.admin})
        assert request.environ[KEY_NAME] == "root"
        client.get("/model", headers={"X-API-Key": "wrong"})
        assert KEY_NAME not in request.environ


def test_metrics_need_no_key_on_a_port_of_their_own(client: FlaskClient) -> None:
    for elsewhere, status in ((True, 200), (False, 404), (None, 401)):
        environ = {} if elsewhere is None else {METRICS_LISTENER: elsewhere}
        assert client.get("/metrics", environ_overrides=environ).status_code == status
    assert client.get("/model", environ_overrides={METRICS_LISTENER: True}).status_code == 404


def test_while_the_model_loads_keys_are_asked_for(keys: Keys, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_KEYS_FILE", str(keys.path))
    client = create_starting_app().test_client()
    for path, without, with_key in (
        ("/livez", 200, 200),
        ("/readyz", 503, 503),
        ("/model", 401, 503),
        ("/metrics", 401, 200),
    ):
        assert client.get(path).status_code == without
        assert client.get(path, headers={"X-API-Key": keys.user}).status_code == with_key


def test_a_missing_file_of_keys_is_an_error_and_lets_nobody_in(
    tmp_path: Path, keys: Keys, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(KeyFileError, match="there is no such file"):
        served(keys_file=str(tmp_path / "nowhere"))
    monkeypatch.setenv("CIFAKE_KEYS_FILE", str(tmp_path / "nowhere"))
    client = create_starting_app().test_client()  # a damaged file must not stop a worker that others wait for
    assert client.get("/metrics", headers={"X-API-Key": keys.user}).status_code == 401


def test_each_key_has_its_own_limit_and_those_without_one_their_address(keys: Keys) -> None:
    client = served(keys_file=str(keys.path), rate_limit="2/hour").test_client()

    def ask(key: str, address: str) -> int:
        environ = {"REMOTE_ADDR": address}
        return client.get("/model", headers={"X-API-Key": key}, environ_overrides=environ).status_code

    assert [ask(keys.user, f"192.0.2.{number}") for number in range(3)] == [200, 200, 429]
    assert [ask(keys.admin, "192.0.2.1") for _ in range(3)] == [200, 200, 429]
    assert [ask("wrong", "192.0.2.1") for _ in range(3)] == [401, 401, 429]
    assert [ask("wrong", f"2001:db8::{number}") for number in range(3)] == [401, 401, 429]
    assert ask("wrong", "2001:db8:0:1::") == 401


def test_an_exceeded_limit_is_told_and_the_body_is_not_read() -> None:
    client = served(rate_limit="2/hour").test_client()
    allowed = [client.get("/model") for _ in range(2)]
    assert [response.status_code for response in allowed] == [200, 200]
    assert [response.headers["RateLimit"].split(";")[1] for response in allowed] == ["r=1", "r=0"]
    refused = client.post("/predict", environ_overrides=UPLOAD)
    assert (refused.status_code, refused.json["type"]) == (429, "urn:cifake:problem:rate-limited")
    assert 3590 < int(refused.headers["Retry-After"]) <= 3600
    assert refused.headers["RateLimit-Policy"] == '"2 per 1 hour";q=2;w=3600'
    assert f"retry in {refused.headers['Retry-After']} s" in refused.json["detail"]
    for path in (
        "/livez",
        "/readyz",
        "/v2/health/live",
        "/",
        "/static/index.html",
        "/docs",
        "/docs/start.js",
    ):
        free = client.get(path, buffered=True)
        assert (free.status_code, free.headers.get("RateLimit")) == (200, None)
    assert client.get("/openapi.json").status_code == 429


def test_behind_a_proxy_its_clients_are_counted() -> None:
    client = served(rate_limit="1/hour", trusted_proxies=1).test_client()
    for address, status in (("192.0.2.1", 200), ("192.0.2.2", 200), ("192.0.2.1", 429)):
        assert client.get("/model", headers={"X-Forwarded-For": address}).status_code == status


def test_without_keys_and_limits_everything_is_open() -> None:
    client = served().test_client()
    response = client.get("/model", headers={"X-API-Key": "wrong"})
    assert (response.status_code, response.headers.get("RateLimit")) == (200, None)
