"""Servers to be compared: started, awaited, weighed and stopped."""

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from model import ROOT

START_SECONDS = 180


@dataclass(frozen=True)
class Contender:
    """command: what starts it, `{port}` where its port goes. path: what is posted to. ready: what answers 200
    once it is ready. upload: the multipart field that takes the picture, unless it takes JSON."""

    name: str
    command: tuple[str, ...]
    path: str = "/predict"
    ready: str = "/readyz"
    upload: str = "file"
    environment: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Running:
    """url: without a path. started: seconds from exec to ready."""

    url: str
    process: subprocess.Popen
    started: float

    def megabytes(self) -> float:
        """Proportional set size of the process and all its descendants."""
        kilobytes = 0
        for pid in family(self.process.pid):
            try:
                lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
            except OSError:  # it has ended
                continue
            kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
        return kilobytes / 1000


def ours(name: str = "this service", **environment: str) -> Contender:
    """This service as `make serve` starts it; more settings by their names."""
    command = (sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:create_app()")
    settings = {"CIFAKE_BIND": "127.0.0.1:{port}", "CIFAKE_OUTPUT_DIR": "/tmp"} | environment
    return Contender(name, command, environment=settings)


@contextmanager
def running(contender: Contender) -> Iterator[Running]:
    """The contender while it serves. Raises RuntimeError if it ends or is not ready in three minutes."""
    port = free_port()
    command = [part.format(port=port) for part in contender.command]
    environment = {name: value.format(port=port) for name, value in contender.environment.items()}
    python = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    start = time.monotonic()
    process = subprocess.Popen(
        command,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": python} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    url = f"http://127.0.0.1:{port}"
    try:
        while not _answers(url + contender.ready):
            if process.poll() is not None or time.monotonic() > start + START_SECONDS:
                raise RuntimeError(f"{contender.name} did not start: {' '.join(command)}")
            time.sleep(0.02)
        yield Running(url, process, time.monotonic() - start)
    finally:
        members = family(process.pid)
        for number in (signal.SIGTERM, signal.SIGKILL):
            for pid in members:
                with suppress(ProcessLookupError):
                    os.kill(pid, number)
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                continue


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=START_SECONDS) as response:
            return bool(response.status == 200)
    except (urllib.error.URLError, ConnectionError):
        return False


def free_port() -> int:
    """A port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def family(pid: int) -> list[int]:
    """The process and its descendants; also those of its session that lost their parent."""
    parents, found = {}, {pid}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            with suppress(OSError):  # it has ended
                _, parent, _, session, *_ = (path / "stat").read_text().rsplit(")", 1)[1].split()
                parents[int(path.name)] = int(parent)
                if int(session) == pid:
                    found.add(int(path.name))
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)
