"""The service in gunicorn, as a child process of a test."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path

from model import ROOT

START_SECONDS = 120
SERVICE = "api.app:create_app()"
STAND_IN = "tests.served:served()"  # with a predictor that needs no model: it starts sooner


@dataclass(frozen=True)
class GunicornServer:
    """port: of 127.0.0.1. process: the parent of the workers. log: file of what they print."""

    port: int
    process: subprocess.Popen
    log: Path

    def connect(self) -> HTTPConnection:
        return HTTPConnection("127.0.0.1", self.port, timeout=60)

    def get(self, path: str, headers: dict[str, str] | None = None) -> tuple[int, bytes]:
        """Status and body of the answer to a request on a connection of its own."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers=headers or {})
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def send(self, data: bytes) -> bytes:
        """All that is answered to these bytes until the server closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as sock:
            sock.sendall(data)
            with sock.makefile("rb") as file:
                return file.read()

    def wait_for_log(self, words: str, count: int = 1, seconds: float = 60) -> str:
        """The log, once these words are in it so many times."""
        deadline = time.monotonic() + seconds
        while (text := self.log.read_text()).count(words) < count:
            assert time.monotonic() < deadline, text
            time.sleep(0.05)
        return text


def run_gunicorn(*arguments: str, application: str = SERVICE, **settings: str) -> subprocess.CompletedProcess:
    """A server that is expected to end by itself. settings: by their names without `CIFAKE_`."""
    return subprocess.run(
        [*_command(application), *arguments],
        cwd=ROOT,
        env=_environment(settings),
        capture_output=True,
        text=True,
        timeout=START_SECONDS,
    )


@contextmanager
def gunicorn_server(
    folder: Path, *arguments: str, application: str = SERVICE, port: int = 0, **settings: str
) -> Iterator[GunicornServer]:
    """A server that is ready. folder: for its log and output. port: 0 for a free one. CIFAKE_BIND may have
    `{port}` in it."""
    if not port:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
    settings = {"BIND": "127.0.0.1:{port}", "OUTPUT_DIR": str(folder), "DEVICE": "cpu"} | settings
    settings["BIND"] = settings["BIND"].format(port=port)
    log = folder / "log.txt"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*_command(application), *arguments],
            cwd=ROOT,
            env=_environment(settings),
            stdout=file,
            stderr=file,
        )
    server = GunicornServer(port, process, log)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(server):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.05)
        yield server
    finally:
        process.send_signal(signal.SIGQUIT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _is_ready(server: GunicornServer) -> bool:
    try:
        return server.get("/readyz")[0] == 200
    except OSError:  # nobody listens yet
        return False


def _command(application: str) -> list[str]:
    return [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", application]


def _environment(settings: dict[str, str]) -> dict[str, str]:
    return os.environ | {f"CIFAKE_{name}": value for name, value in settings.items()}
