"""Keys, limits and headers as gunicorn's workers answer them."""

import json
import socket
import time
from collections.abc import Iterator

import pytest

from api.security.headers import SECURITY_HEADERS
from api.security.key_file import Key, write_keys
from tests.api.security.conftest import Keys
from tests.benchmarks.servers import free_port
from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server, run_gunicorn

LIMIT = 300


@pytest.fixture(scope="module", params=["text", "json"])
def server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, keys: Keys
) -> Iterator[GunicornServer]:
    with gunicorn_server(
        tmp_path_factory.mktemp("server"),
        application=STAND_IN,
        WORKERS="2",
        KEYS_FILE=str(keys.path),
        RATE_LIMIT=f"{LIMIT}/hour",
        STALL_SECONDS="1",
        LOG_FORMAT=request.param,
    ) as running:
        yield running


def test_no_log_line_and_no_answer_has_a_key(server: GunicornServer, keys: Keys) -> None:
    sent = [keys.user, keys.admin]
    answers = []
    for key in sent:
        fields = f"Host: x\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n"
        answers += [
            server.send(request.encode())
            for request in (
                f"GET /model HTTP/1.1\r\n{fields}\r\n",
                f"GET /model HTTP/1.1\r\nX-API-Key: {key}x\r\nConnection: close\r\n\r\n",
                f"GET /model?key={key} HTTP/1.1\r\n{fields}\r\n",
                f"GET /model?{key} HTTP/1.1\r\n{fields}\r\n",
                f"GET /{key}?api_key={key} HTTP/1.1\r\n{fields}\r\n",
                f"POST /predict?explain={key} HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n",
                f"POST /batch?team={key}%21 HTTP/1.1\r\n{fields}Content-Length: 0\r\n\r\n",
                f"GET /model?key={key} HTTP/7\r\n{fields}\r\n",
                f"GET /{key}\r\n\r\n",
                f"{key} / HTTP/1.1\r\n\r\n",
                f"GET / HTTP/1.1\r\n{key}: x\r\nX {key}: x\r\n\r\n",
                f"GET / HTTP/1.1\r\n{key}\r\n\r\n",
                f"GET / HTTP/1.1\r\nX-API-Key : {key}\r\n\r\n",
                f"GET / HTTP/1.1\r\nX-API-Key: x\r\n {key}\r\n\r\n",
                f"GET / HTTP/1.1\r\nHost: x\r\nExpect: {key}\r\n\r\n",
                f"GET / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: {key}\r\n\r\n",
                f"POST /predict HTTP/1.1\r\n{fields}Transfer-Encoding: chunked\r\n\r\n{key}\r\n",
            )
        ]
    assert all(answer.startswith(b"HTTP/1.1 ") for answer in answers)
    log = server.wait_for_log("alice", count=2)
    assert any("cifake_***" in text for text in (log, *map(str, answers)))
    for key in sent:
        assert key not in log
        assert not any(key.encode() in answer for answer in answers)


def test_the_log_tells_whose_key_it_was(server: GunicornServer, keys: Keys) -> None:
    connection = server.connect()
    connection.request("GET", "/model", headers={"X-API-Key": keys.admin, "X-Request-ID": "of-root"})
    connection.getresponse().read()
    connection.request("GET", "/livez", headers={"X-Request-ID": "of-nobody"})
    connection.getresponse().read()
    connection.close()
    server.wait_for_log("of-root")
    log = server.wait_for_log("of-nobody").splitlines()
    [roots] = [line for line in log if "of-root" in line]
    [nobodys] = [line for line in log if "of-nobody" in line]
    if roots.startswith("{"):
        assert (json.loads(roots)["key"], json.loads(nobodys)["key"]) == ("root", None)
    else:
        assert roots.endswith("id of-root key root")
        assert nobodys.endswith("id of-nobody")


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
def test_a_large_upload_without_a_key_is_refused_at_once(server: GunicornServer, expect: str) -> None:
    """After the 64 KiB that a worker reads ahead, or none; the rest need not be sent."""
    size = 200_000_000
    head = f"POST /batch?team=x HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n{expect}\r\n".encode()
    started_at = time.monotonic()
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as sock:
        sock.sendall(head if expect else head + bytes(70_000))
        with sock.makefile("rb") as file:
            answer = file.read()  # until the server closes the connection
    assert b"HTTP/1.1 401 " in answer
    assert time.monotonic() - started_at < 5
    # A client that sends on regardless reads the answer too.
    connection = server.connect()
    connection.putrequest("POST", "/batch?team=x")
    connection.putheader("Content-Length", str(size))
    connection.endheaders()
    try:
        for _ in range(100):
            connection.send(bytes(1 << 20))
    except OSError:
        pass  # the server has stopped to read
    else:
        assert connection.getresponse().status == 401
    connection.close()


def test_workers_count_together(server: GunicornServer, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Each on connections of its own: without a key, by the address."""
    statuses = []
    for _ in range(LIMIT // 20 + 3):
        connection = server.connect()
        for _ in range(20):
            connection.request("GET", "/model")
            with connection.getresponse() as response:
                response.read()
                statuses.append(response.status)
                remaining = response.headers["RateLimit"].split(";")[1]
        connection.close()
    first = statuses.index(429)
    assert set(statuses[first:]) == {429}
    assert remaining == "r=0"
    assert LIMIT - 30 < first <= LIMIT  # the other tests have asked without a key too


def test_headers_of_answers_and_refusals(server: GunicornServer) -> None:
    for request in (b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", b"GET\r\n\r\n"):
        head = server.send(request).partition(b"\r\n\r\n")[0].decode()
        headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
        assert SECURITY_HEADERS.items() <= headers.items()
        assert headers.get("Server", "gunicorn") == "gunicorn"


def test_a_revoked_key_is_refused_and_a_new_one_let_in(server: GunicornServer, keys: Keys) -> None:
    before = keys.path.read_bytes()
    carol, key = Key.new("carol", "user")
    write_keys(keys.path, [carol])
    try:
        deadline = time.monotonic() + 10
        while True:
            old, new = (server.get("/model", {"X-API-Key": text})[0] for text in (keys.user, key))
            if old != 200 and new == 200:
                break
            assert time.monotonic() < deadline
            time.sleep(0.2)
    finally:
        keys.path.write_bytes(before)


@pytest.mark.parametrize(
    ("host", "with_keys", "times"), [("0.0.0.0", False, 1), ("127.0.0.1", False, 0), ("0.0.0.0", True, 0)]
)
def test_a_server_that_others_reach_says_that_it_is_open(
    host: str, with_keys: bool, times: int, keys: Keys
) -> None:
    settings = {"BIND": f"{host}:{free_port()}", "KEYS_FILE": str(keys.path) if with_keys else "none"}
    result = run_gunicorn("--certfile", "none", application=STAND_IN, **settings)  # which ends the start
    assert "TLS" in result.stderr
    words = f"reaches {settings['BIND']} can use the service: set CIFAKE_KEYS_FILE to a file that"
    assert result.stderr.count(words) == times


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "there is no such file; `python -m api.keys new NAME --file FILE` makes it"),
        ("[", "it is not a file of"),
    ],
)
def test_a_file_of_keys_that_cannot_be_read_ends_the_start(
    content: str | None, words: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("keys") / "keys.json"
    if content:
        path.write_text(content)
    result = run_gunicorn(application=STAND_IN, KEYS_FILE=str(path))
    assert result.returncode == 1
    assert f"error: CIFAKE_KEYS_FILE={path}: {words}" in result.stderr
    assert "Traceback" not in result.stderr
