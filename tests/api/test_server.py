"""The service as it is run: gunicorn, a socket, the shipped model."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

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
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL)
    url = f"http://{address}"
    try:
        until = time.monotonic() + START_SECONDS
        while True:
            try:
                urllib.request.urlopen(f"{url}/readyz", timeout=START_SECONDS).close()
                break
            except urllib.error.URLError:  # gunicorn does not listen yet
                assert process.poll() is None, "the server did not start"
                assert time.monotonic() < until
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


def test_a_picture_over_the_wire(server: tuple[str, subprocess.Popen]) -> None:
    url, _ = server
    shipped = Predictor.load(device="cpu", engine="auto", precision="auto")
    status, answer = post(f"{url}/predict", encode(noise(3)))
    assert status == 200
    assert answer["prediction"] == pytest.approx(shipped.predict([noise(3)])[0], abs=1e-5)


def test_a_client_that_sends_too_much_reads_why(server: tuple[str, subprocess.Popen]) -> None:
    url, process = server
    status, problem = post(f"{url}/predict", bytes(50_000_000))
    assert status == 413
    assert problem["status"] == 413
    assert process.poll() is None


def test_it_ends_when_told_to(server: tuple[str, subprocess.Popen]) -> None:
    """Last of this module: the server is gone after it."""
    _, process = server
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
