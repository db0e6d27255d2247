import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

import api
from api.security.cors import EXPOSED
from tests.api.security.conftest import Keys
from tests.conftest import served
from tests.pictures import encode, noise

PAGE, OTHER = "https://page.example", "https://other.example:8443"
ALLOWED = "Access-Control-Allow-Origin"


def client_for(keys: Keys, origins: str) -> FlaskClient:
    return served(cors_origins=origins, keys_file=str(keys.path), rate_limit="2/hour").test_client()


def preflight(client: FlaskClient, path: str, origin: str) -> dict[str, str]:
    response = client.options(
        path,
        headers={
            "Origin": origin,
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
        },
    )
    assert response.status_code == 200
    return dict(response.headers)


def test_a_preflight_needs_no_key_and_is_not_counted(keys: Keys) -> None:
    client = client_for(keys, f"{PAGE}, {OTHER}")
    for path in ["/predict?explain=gradcam&unknown=1", "/batch?team=x", "/admin/reload"] * 3:
        for origin in (PAGE, OTHER):
            headers = preflight(client, path, origin)
            assert headers[ALLOWED] == origin
            assert headers["Access-Control-Allow-Headers"] == "authorization, content-type, idempotency-key"
            assert {"GET", "POST", "DELETE"} <= set(headers["Access-Control-Allow-Methods"].split(", "))
            assert headers["Access-Control-Max-Age"] == "600"


@pytest.mark.parametrize(
    "origin", [OTHER, "https://page.example.evil", "http://page.example", "https://pageXexample", "null"]
)
def test_other_origins_are_not_allowed(origin: str, keys: Keys) -> None:
    client = client_for(keys, PAGE)
    assert ALLOWED not in preflight(client, "/predict", origin)
    assert ALLOWED not in client.get("/livez", headers={"Origin": origin}).headers


def test_a_page_may_read_what_the_service_tells_in_headers(keys: Keys) -> None:
    client = client_for(keys, PAGE)
    key = {"Origin": PAGE, "X-API-Key": keys.user}
    answers = [
        client.post("/predict", data=encode(noise(1)), headers=key),
        client.post("/predict", data=b"noise", headers=key),
        client.get("/model", headers=key),
        client.get("/model", headers={"Origin": PAGE}),
    ]
    assert [answer.status_code for answer in answers] == [200, 415, 429, 401]
    for answer in answers:
        assert answer.headers[ALLOWED] == PAGE
        assert set(answer.headers["Access-Control-Expose-Headers"].split(", ")) == set(EXPOSED)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        told = {name for name, _ in answer.headers if name.startswith(("X-", "R", "S", "W"))}
        assert told - {"X-Content-Type-Options", "Referrer-Policy"} <= set(EXPOSED)


def test_every_header_that_a_route_sets_may_be_read() -> None:
    """By the texts of the modules: those of batches are not all in one answer."""
    sources = [file.read_text() for file in (Path(api.__file__).parent / "batches").rglob("*.py")]
    sources += [file.read_text() for file in (Path(api.__file__).parent / "routes").rglob("*.py")]
    named = set(re.findall(r'"(X-[A-Z][A-Za-z0-9-]+)"', "".join(sources)))
    assert len(named) > 3
    assert named <= set(EXPOSED) | {"X-API-Key"}


def test_caches_are_told_that_the_origin_matters(keys: Keys) -> None:
    for origins, vary in ((PAGE, ["Origin"]), (f"{PAGE},{OTHER}", ["Origin"]), ("*", [])):
        client = client_for(keys, origins)
        for headers in ({}, {"Origin": PAGE}):
            response = client.get("/livez", headers=headers)
            assert response.headers.getlist("Vary") == vary
            expected = {"*": "*"}.get(origins, PAGE) if headers else None
            assert response.headers.get(ALLOWED) == expected


def test_it_is_off_by_default(client: FlaskClient) -> None:
    headers = client.get("/livez", headers={"Origin": PAGE}).headers
    assert not any(name.startswith("Access-Control") for name, _ in headers)
