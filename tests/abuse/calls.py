"""What the attacks share: the service with a model or a stand-in, calls to it, and its processes."""

import http.client
import json
import os
import statistics
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.benchmarks.load import Request
from tests.benchmarks.servers import Running, family, ours, running

JOB_SECONDS = 1800
STAND_IN = "tests.served:served()"  # of the network: the service starts quickly
ENDED = ("done", "failed", "cancelled")


def service(
    outputs: Path, application: str | None = None, **settings: str
) -> AbstractContextManager[Running]:
    """The service. application: None for the one with the model. settings: by their names."""
    contender = ours(CIFAKE_OUTPUT_DIR=str(outputs), **settings)
    if application is not None:
        contender = replace(contender, command=(*contender.command[:-1], application))
    return running(contender)


def call(
    url: str, method: str, path: str, body: bytes | None = None, **headers: str
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of an answer on a connection of its own."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=JOB_SECONDS)
    try:
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, names)
        with connection.getresponse() as response:
            return response.status, dict(response.headers), response.read()
    finally:
        connection.close()


def post(url: str, path: str, upload: Request, **headers: str) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of the answer to an upload."""
    return call(url, "POST", path, upload.body, Content_Type=upload.content_type, **headers)


def submit(url: str, team: str, upload: Request) -> str:
    """The path of a new job."""
    status, headers, body = post(url, f"/batch?team={team}", upload, Prefer="respond-async")
    assert status == 202, body
    return headers["Location"]


def follow(url: str, path: str, seconds: float = 0.02) -> Iterator[dict]:
    """The states of a job until it ends; while the service is being started again there is none."""
    deadline = time.monotonic() + JOB_SECONDS
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):  # a worker died with this connection
            status, _, body = call(url, "GET", path)
            if status == 200:
                yield json.loads(body)
                if json.loads(body)["state"] in ENDED:
                    return
        time.sleep(seconds)
    raise TimeoutError(path)


@dataclass
class Answers:
    """statuses: 0 is a connection that broke. seconds: of answers with 200, from when they were due."""

    statuses: Counter[int] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def percentile(self, percent: int) -> float:
        """Milliseconds."""
        return statistics.quantiles(self.seconds, n=100, method="inclusive")[percent - 1] * 1000


@contextmanager
def paced(url: str, path: str, body: bytes, rate: float, connections: int = 4) -> Iterator[Answers]:
    """Posts `body` at `rate` a second during the block, on connections that are kept open.

    A request is due whether or not the one before has been answered, and its time counts from then.
    """
    answers, stopped = Answers(), threading.Event()

    def client(number: int) -> None:
        connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=60)
        due = time.monotonic() + number / rate
        while not stopped.wait(max(0.0, due - time.monotonic())):
            try:
                connection.request("POST", path, body, {"Content-Type": "image/png"})
                with connection.getresponse() as response:
                    response.read()
                    answers.statuses[response.status] += 1
                    if response.status == 200:
                        answers.seconds.append(time.monotonic() - due)
            except (OSError, http.client.HTTPException):
                answers.statuses[0] += 1
                connection.close()
            due += connections / rate
        connection.close()

    with ThreadPoolExecutor(connections) as pool:
        futures = [pool.submit(client, number) for number in range(connections)]
        try:
            yield answers
        finally:
            stopped.set()
        for future in futures:
            future.result()


def workers(server: Running) -> set[int]:
    """The worker processes."""
    return set(family(server.process.pid)) - {server.process.pid}


def wait_for_workers(server: Running, count: int, seconds: float = 60) -> None:
    """Until so many workers have loaded their models."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError, http.client.HTTPException):
            if f"\ncifake_workers {count}.0\n" in call(server.url, "GET", "/metrics")[2].decode():
                return
        time.sleep(0.1)
    raise TimeoutError(f"{count} workers")


def megabytes(pid: int) -> float:
    """Resident memory of a process; 0 if it has ended."""
    with suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
    return 0.0


def cpu_seconds(server: Running) -> float:
    """CPU time of all its processes, user and system."""
    ticks = 0
    for pid in family(server.process.pid):
        with suppress(OSError):
            ticks += sum(map(int, Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


@contextmanager
def watching_memory(server: Running) -> Iterator[list[float]]:
    """Resident megabytes of the largest process, sampled during the block."""
    samples, stopped = [0.0], threading.Event()

    def sample() -> None:
        while not stopped.wait(0.05):
            samples.append(max(map(megabytes, family(server.process.pid)), default=0.0))

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield samples
    finally:
        stopped.set()
        thread.join()


def report(problems: list[str]) -> int:
    """Print what went wrong. Returns the exit status."""
    for problem in problems:
        print(f"  WRONG: {problem}", flush=True)
    print("as it should be" if not problems else f"{len(problems)} wrong", file=sys.stderr)
    return int(bool(problems))
