"""The page and its files, whatever these are."""

import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_starting_app
from api.security.headers import PAGE_POLICY
from api.security.key_file import Key, write_keys
from model import ROOT
from tests.conftest import served

STATIC = ROOT / "api" / "static"
FILES = sorted(str(path.relative_to(STATIC)) for path in STATIC.rglob("*") if path.is_file())
ADDRESSES = {"/": "index.html"} | {f"/static/{name}": name for name in FILES}
TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".md": "text/markdown",
    ".png": "image/png",
    ".svg": "image/svg+xml",
}


@pytest.mark.parametrize("address", ADDRESSES)
def test_files_are_served_and_asked_for_again(address: str, client: FlaskClient) -> None:
    path = STATIC / ADDRESSES[address]
    response = client.get(address, buffered=True)
    assert (response.status_code, response.mimetype) == (200, TYPES[path.suffix])
    assert response.data == path.read_bytes()
    assert response.headers["Cache-Control"] == "no-cache"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
    head = client.head(address, buffered=True)
    assert (head.status_code, head.data) == (200, b"")
    for name in ("Content-Type", "Content-Length", "ETag", "Content-Security-Policy"):
        assert head.headers[name] == response.headers[name]
    for tag, status in ((response.headers["ETag"], 304), ('"another"', 200)):
        again = client.get(address, headers={"If-None-Match": tag}, buffered=True)
        assert (again.status_code, again.headers["ETag"]) == (status, response.headers["ETag"])
        assert again.headers["Cache-Control"] == "no-cache"
        assert bool(again.data) == (status == 200)


def test_a_changed_file_has_another_tag(app: Flask, tmp_path: Path) -> None:
    app.static_folder = str(tmp_path)
    tags = []
    for content in ("short", "longer"):
        (tmp_path / "index.html").write_text(content)
        tags.append(app.test_client().get("/", buffered=True).headers["ETag"])
    assert tags[0] != tags[1]


def test_the_policy_lets_in_nothing_from_elsewhere(client: FlaskClient) -> None:
    policy = client.get("/", buffered=True).headers["Content-Security-Policy"]
    assert policy == PAGE_POLICY
    directives = dict(directive.split(" ", 1) for directive in policy.split("; "))
    assert directives["default-src"] == "'none'"
    assert directives["script-src"] == directives["style-src"] == directives["connect-src"] == "'self'"
    assert set(directives["img-src"].split()) == {"'self'", "blob:", "data:"}
    assert not re.search(r"unsafe|https?:|\*", policy)


@pytest.mark.parametrize(
    "path",
    [
        "/static",
        "/static/",
        "/static/missing.js",
        "/static/../app.py",
        "/static/%2e%2e/app.py",
        "/static/..%2fapp.py",
        "/static/%00",
        "/static/" + "x" * 5000,
        "/index.html",
    ],
)
def test_other_files_are_missing(path: str, client: FlaskClient) -> None:
    for method in ("GET", "HEAD"):
        response = client.open(path, method=method)
        assert (response.status_code, response.mimetype) == (404, "application/problem+json")
        assert response.headers["Cache-Control"] == "no-store"
    assert client.get(path).json["type"] == "urn:cifake:problem:not-found"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_the_page_is_only_read(method: str, client: FlaskClient) -> None:
    for path in ("/", "/static/index.html"):
        response = client.open(path, method=method)
        assert response.status_code == 405
        assert "GET" in response.headers["Allow"]


def test_the_page_needs_no_key(tmp_path: Path) -> None:
    write_keys(tmp_path / "keys.json", [Key.new("alice", "user")[0]])
    client = served(keys_file=str(tmp_path / "keys.json")).test_client()
    for address in ADDRESSES:
        assert client.get(address, buffered=True).status_code == 200
    assert client.get("/static/missing.js").status_code == 404
    assert client.get("/model").status_code == 401


def test_the_page_is_there_while_the_model_is_loaded() -> None:
    client = create_starting_app().test_client()
    for address in ADDRESSES:
        assert client.get(address, buffered=True).status_code == 200
    assert client.get("/readyz").status_code == 503


def test_what_the_page_loads_is_found_behind_a_proxy_that_removes_a_prefix() -> None:
    client = served(trusted_proxies=1).test_client()
    proxied = {"X-Forwarded-Prefix": "/detector", "X-Forwarded-Host": "example.org"}
    page = client.get("/", headers=proxied, buffered=True)
    loaded = re.findall(r'(?:src|href)="([^"#]+)', page.text)
    assert loaded
    for address in loaded:
        seen = urljoin("https://example.org/detector/", address)
        assert seen.startswith("https://example.org/detector/"), address
        path = seen.removeprefix("https://example.org/detector")
        assert client.get(path, headers=proxied, buffered=True).status_code == 200, address


def test_scripts_have_their_type_also_where_the_system_knows_none() -> None:
    """Python 3.11 has `application/javascript`."""
    code = (
        "import mimetypes; mimetypes.knownfiles.clear()\n"
        "import api.routes.page\n"
        "print(mimetypes.guess_type('x.js')[0])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "text/javascript", done.stderr
