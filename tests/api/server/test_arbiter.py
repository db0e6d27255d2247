"""SIGHUP and SIGTERM, with the shipped model in two workers."""

import hashlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path
from shutil import copyfile

import pytest

from model import SHIPPED
from model.checkpoint import Checkpoint
from tests.gunicorn_server import GunicornServer, gunicorn_server
from tests.pictures import encode, noise

PICTURE = encode(noise(3))
DRAIN_DELAY = 5.0


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return Path(copyfile(SHIPPED, tmp_path_factory.mktemp("model") / "served.pth"))


@pytest.fixture(scope="module")
def server(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GunicornServer]:
    settings = {"MODEL": str(model), "WORKERS": "2", "DRAIN_DELAY_SECONDS": str(DRAIN_DELAY)}
    with gunicorn_server(tmp_path_factory.mktemp("server"), **settings) as running:
        yield running


class Client(threading.Thread):
    """Posts one picture after the other on a connection, until it is told to stop or the server closes it."""

    def __init__(self, server: GunicornServer, until: threading.Event) -> None:
        super().__init__()
        self.connection, self.until = server.connect(), until
        self.statuses: list[int] = []
        self.closed = self.error = False

    def run(self) -> None:
        try:
            while not self.until.is_set() and not self.closed:
                self.connection.request("POST", "/predict", PICTURE, {"Content-Type": "image/png"})
                response = self.connection.getresponse()
                response.read()
                self.statuses.append(response.status)
                self.closed = response.getheader("Connection") == "close"
        except (OSError, HTTPException):
            self.error = True
        finally:
            self.connection.close()


def served_digests(server: GunicornServer, count: int = 20) -> set[str]:
    """Of several connections, so that all workers have been asked."""
    return {json.loads(server.get("/model")[1])["digest"] for _ in range(count)}


def test_sighup_serves_another_checkpoint_without_losing_a_request(
    server: GunicornServer, model: Path, other_checkpoint: Path
) -> None:
    digest = Checkpoint.load(other_checkpoint).metadata.digest
    assert served_digests(server) != {digest}
    other_checkpoint.replace(model)
    done = threading.Event()
    clients = [Client(server, done) for _ in range(2)]
    for client in clients:
        client.start()
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log(f"SHA-256 {digest}", count=2, seconds=120)
    done.set()
    for client in clients:
        client.join()
        assert not client.error
        assert set(client.statuses) == {200}
    assert served_digests(server) == {digest}


def test_sighup_keeps_the_checkpoint_if_the_file_is_damaged(server: GunicornServer, model: Path) -> None:
    served = served_digests(server)
    data = model.read_bytes()
    try:
        model.write_bytes(data[:-1000])
        server.process.send_signal(signal.SIGHUP)
        log = server.wait_for_log("is not reloaded: ", count=2)
    finally:
        model.write_bytes(data)
    assert "Traceback" not in log
    assert served_digests(server) == served


def test_sighup_does_nothing_if_the_file_is_the_same(server: GunicornServer) -> None:
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("not reloaded: the checkpoint with the SHA-256", count=2)


def test_a_worker_that_cannot_load_the_file_leaves_the_requests_to_the_others(
    server: GunicornServer, model: Path
) -> None:
    pid = server.process.pid
    worker, _ = map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
    data = model.read_bytes()
    try:
        model.write_bytes(data[:-1000])
        os.kill(worker, signal.SIGKILL)
        server.wait_for_log("a worker cannot start, the others go on: ")
        assert served_digests(server) == {hashlib.sha256(data).hexdigest()}
    finally:
        model.write_bytes(data)
    server.process.send_signal(signal.SIGHUP)
    server.wait_for_log("not reloaded: the checkpoint with the SHA-256", count=3)


def test_sigterm_answers_all_requests_and_stops(server: GunicornServer) -> None:
    """Last of this module: the server is gone after it."""
    clients = [Client(server, threading.Event()) for _ in range(64)]
    for client in clients:
        client.start()
    while not all(client.statuses for client in clients):
        time.sleep(0.01)
    stopped_at = time.monotonic()
    server.process.send_signal(signal.SIGTERM)
    server.wait_for_log("Handling signal: term")
    server.process.send_signal(signal.SIGTERM)  # again, which changes nothing
    status, body = server.get("/readyz")
    assert (status, json.loads(body)["detail"]) == (503, "the server is about to stop; ask another one")
    assert server.get("/livez")[0] == 200
    for client in clients:
        client.join(timeout=60)
        assert (client.error, client.closed) == (False, True)
        assert set(client.statuses) == {200}
    assert server.process.wait(timeout=60) == 0
    assert DRAIN_DELAY < time.monotonic() - stopped_at < DRAIN_DELAY + 30
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port))
    log = server.log.read_text()
    assert "Traceback" not in log
    assert "SIGABRT" not in log
