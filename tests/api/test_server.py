"""End-to-end tests: gunicorn on a socket with the shipped model."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib.resources import files

import pytest
from flask import json

from model import ROOT
from model.predictor import Predictor
from tests.benchmarks.servers import free_port
from tests.pictures import encode, noise

START_SECONDS = 60


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, subprocess.Popen]]:
    address = f"127.0.0.1:{free_port()}"
    environment = os.environ | {
        "CIFAKE_BIND": address,
        "CIFAKE_OUTPUT_DIR": str(tmp_path_factory.mktemp("outputs")),
        "CIFAKE_DEVICE": "cpu",
        "CIFAKE_WORKERS": "1",
        "CIFAKE_THREADS": "4",
        "CIFAKE_DEADLINE_SECONDS": "3",
        "CIFAKE_STALL_SECONDS": "2",
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://{address}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=5).close()
                break
            except urllib.error.HTTPError as error:  # the model is being loaded
                status = error.code
                error.close()
                assert status == 503, status
            except urllib.error.URLError:  # gunicorn does not listen yet
                pass
            assert process.poll() is None, "the server did not start"
            assert time.monotonic() < deadline
            time.sleep(0.1)
        yield url, process
    finally:
        process.kill()
        process.wait()


def post(url: str, body: bytes) -> tuple[int, dict]:
    request = urllib.request.Request(url, body, {"Content-Type": "application/octet-stream"})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.loads(response.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())


def test_predict(server: tuple[str, subprocess.Popen]) -> None:
    url, _ = server
    shipped = Predictor.load(device="cpu", engine="auto", precision="auto")
    status, answer = post(f"{url}/predict", encode(noise(3)))
    assert status == 200
    assert answer["prediction"] == pytest.approx(shipped.predict_proba([noise(3)])[0], abs=1e-5)


def test_files_of_a_page_are_sent_whole(server: tuple[str, subprocess.Popen]) -> None:
    url, _ = server
    name = "swagger-ui-bundle.js"
    with urllib.request.urlopen(f"{url}/docs/{name}", timeout=30) as response:
        assert response.read() == (files("flask_swagger_ui") / "dist" / name).read_bytes()


def test_an_oversized_upload_is_answered_413(server: tuple[str, subprocess.Popen]) -> None:
    url, process = server
    status, problem = post(f"{url}/predict", bytes(50_000_000))
    assert status == 413
    assert problem["status"] == 413
    assert process.poll() is None


PICTURE = encode(noise(3))
HEAD = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: %d\r\n\r\n"
STALLED = {
    "nothing": b"",
    "half a head": b"POST /predict HTTP/1.1\r\nHo",
    "no body": b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 70\r\n\r\n",
    "half a small body": HEAD % 5000 + b"x",
    "half a large body": HEAD % 5_000_000 + b"x" * 100_000,
    "half a chunk": b"POST /predict HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc",
}


def connect(url: str) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(url.rpartition(":")[2])), timeout=20)


@pytest.mark.parametrize("kind", STALLED)
def test_stalled_clients_do_not_block_others(kind: str, server: tuple[str, subprocess.Popen]) -> None:
    """With ten times as many stalled clients as threads."""
    url, _ = server
    stalled = [connect(url) for _ in range(40)]
    try:
        for sock in stalled:
            sock.sendall(STALLED[kind])
        for path in ("/livez", "/readyz", "/v2/health/ready"):
            with urllib.request.urlopen(url + path, timeout=5) as response:
                assert response.status == 200
        assert post(f"{url}/predict", PICTURE)[0] == 200
    finally:
        for sock in stalled:
            sock.close()


def test_a_stalled_upload_is_answered_408(server: tuple[str, subprocess.Popen]) -> None:
    with connect(server[0]) as sock:
        sock.sendall(STALLED["half a small body"])
        assert sock.recv(1000).startswith(b"HTTP/1.1 408 ")


def test_uploads_past_the_deadline_are_answered_504(server: tuple[str, subprocess.Popen]) -> None:
    url, _ = server
    late = [connect(url) for _ in range(12)]
    try:
        for sock in late:
            sock.sendall(HEAD % len(PICTURE) + PICTURE[:10])
        for place in (20, 30):
            time.sleep(1.6)
            for sock in late:
                sock.sendall(PICTURE[place - 10 : place])
        for sock in late:
            sock.sendall(PICTURE[30:])
        for sock in late:
            assert sock.recv(1000).startswith(b"HTTP/1.1 504 ")
    finally:
        for sock in late:
            sock.close()
    assert {post(f"{url}/predict", PICTURE)[0] for _ in range(100)} == {200}


def test_pipelined_requests(server: tuple[str, subprocess.Popen]) -> None:
    """Three at once, and one in two parts."""
    request = HEAD % len(PICTURE) + PICTURE
    with connect(server[0]) as sock:
        sock.sendall(request * 3 + request[:50])
        time.sleep(0.1)
        sock.sendall(request[50:])
        sock.shutdown(socket.SHUT_WR)
        with sock.makefile("rb") as file:
            assert file.read().count(b"HTTP/1.1 200 ") >= 3


def test_a_malformed_chunk_is_answered_400(server: tuple[str, subprocess.Popen]) -> None:
    head = (
        b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    for body in (b"zz\r\nabc\r\n0\r\n\r\n", b"5\r\nabcdefgh\r\n0\r\n\r\n", b"-1\r\n0\r\n\r\n"):
        with connect(server[0]) as sock:
            sock.sendall(head + body)
            assert sock.recv(1000).startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("THREADS", "many", "error: CIFAKE_THREADS=many: Input should be a valid integer"),
        ("MODEL", "/nowhere.pth", "error: CIFAKE_MODEL=/nowhere.pth: there is no such file"),
        ("MODEL", "README.md", "the service cannot start: README.md is not a checkpoint that can be read"),
        ("BIND", "127.0.0.1:{taken}", "error: 127.0.0.1:{taken} is in use: "),
        ("BIND", "127.0.0.1:99999", "error: CIFAKE_BIND=127.0.0.1:99999: bind(): port must be 0-65535."),
        ("BATCHSIZE", "8", "error: CIFAKE_BATCHSIZE is not a setting: did you mean CIFAKE_BATCH_SIZE?"),
    ],
)
def test_startup_errors_are_one_sentence(name: str, value: str, words: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        result = run_server(f"CIFAKE_{name}", value.format(taken=taken))
    assert words.format(taken=taken) in result.stderr
    assert result.returncode
    assert "Traceback" not in result.stderr


def run_server(name: str, value: str) -> subprocess.CompletedProcess:
    environment = os.environ | {"CIFAKE_BIND": f"127.0.0.1:{free_port()}", name: value}
    command = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


def test_sigterm_stops_the_server(server: tuple[str, subprocess.Popen]) -> None:
    """Last of this module: the server is gone after it."""
    _, process = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
