"""Connections, addresses and proxies, with a stand-in for the model in one worker."""

import signal
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.gunicorn_server import STAND_IN, GunicornServer, gunicorn_server
from tests.pictures import encode, noise

PICTURE = encode(noise(3))
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n%b"
KEEPALIVE_SECONDS = 2
CONNECTIONS = 70
SPOOFED = {
    "X-Forwarded-For": "203.0.113.1, 203.0.113.2",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Prefix": "/prefix",
    "SCRIPT_NAME": "/livez",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    folder = tmp_path_factory.mktemp("server")
    settings = {
        "BIND": f"127.0.0.1:{{port}},[::1]:{{port}},unix:{folder}/socket",
        "WORKERS": "1",
        "KEEPALIVE_SECONDS": str(KEEPALIVE_SECONDS),
        "TRUSTED_PROXIES": "1",
    }
    limit = ("--worker-connections", str(CONNECTIONS))
    with gunicorn_server(folder, *limit, application=STAND_IN, **settings) as running:
        yield running


def get(sock: socket.socket, path: str) -> bytes:
    sock.sendall(f"GET {path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sock.recv(10_000)


def test_it_listens_at_ipv6_addresses(server: GunicornServer) -> None:
    assert f"http://[::1]:{server.port}" in server.wait_for_log("ready: ")
    with socket.create_connection(("::1", server.port), timeout=30) as sock:
        assert get(sock, "/livez").startswith(b"HTTP/1.1 200 ")
    server.wait_for_log('::1 "GET /livez')


def test_it_listens_at_unix_sockets(server: GunicornServer) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(30)
        sock.connect(str(server.log.parent / "socket"))
        assert get(sock, "/livez").startswith(b"HTTP/1.1 200 ")
        sock.sendall(b"noise\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_the_log_has_the_address_that_the_last_proxy_tells(server: GunicornServer) -> None:
    assert server.get("/nowhere", SPOOFED)[0] == 404
    log = server.wait_for_log('"GET /nowhere')
    assert '203.0.113.2 "GET /nowhere' in log
    assert "203.0.113.1" not in log


def test_an_idle_connection_is_closed_after_the_keepalive_time(server: GunicornServer) -> None:
    with socket.create_connection(("127.0.0.1", server.port), timeout=30) as sock:
        assert b"Connection: keep-alive" in get(sock, "/livez")
        answered_at = time.monotonic()
        assert sock.recv(1) == b""
    assert KEEPALIVE_SECONDS - 0.5 < time.monotonic() - answered_at < KEEPALIVE_SECONDS + 10


def test_idle_connections_over_the_limit_are_closed_for_new_ones(server: GunicornServer) -> None:
    with ExitStack() as stack:
        idle = []
        for _ in range(3 * CONNECTIONS):
            sock = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=30))
            assert get(sock, "/livez").startswith(b"HTTP/1.1 200 ")
            idle.append(sock)
        assert idle[0].recv(1) == b""


def test_sigterm_answers_all_requests_that_were_sent(server: GunicornServer) -> None:
    """Without a delay; some are still in the queue of the system. Last of this module: the server is gone."""
    request = POST % (len(PICTURE), PICTURE)
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=60))
            for _ in range(64)
        ]
        for sock in sockets:
            sock.sendall(request)
        server.process.send_signal(signal.SIGTERM)
        for sock in sockets:
            with sock.makefile("rb") as file:
                assert file.read().count(b"HTTP/1.1 200 ") == 1
    assert server.process.wait(timeout=40) == 0
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    assert "Traceback" not in server.log.read_text()
