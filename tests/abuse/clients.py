"""Slow, stalled, numerous and hostile clients: `python -m tests.abuse clients`.

Prints a table: the responses to each attack, the latency of `/livez`, `/readyz` and another client's
`/predict` meanwhile, and the memory of the largest process.
"""

import http.client
import io
import socket
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from PIL import Image

from tests.abuse.archives import ARCHIVES
from tests.abuse.calls import megabytes, report
from tests.abuse.pictures import PICTURES
from tests.benchmarks.load import form
from tests.benchmarks.servers import Running, family, ours, running
from tests.pictures import encode, noise

PICTURE = encode(noise())
HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
STALL_SECONDS = 5


def send_request(
    url: str, path: str, body: bytes | None = None, kind: str = "image/png"
) -> tuple[int, float]:
    """(status, seconds); status 0 if the connection broke."""
    started_at = time.monotonic()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    try:
        connection.request("POST" if body is not None else "GET", path, body, {"Content-Type": kind})
        with connection.getresponse() as response:
            response.read()
            return response.status, time.monotonic() - started_at
    except OSError:
        return 0, time.monotonic() - started_at
    finally:
        connection.close()


class Monitor:
    """Probes the service during an attack, and samples the memory of its largest process."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self.max_seconds: dict[str, float] = {}
        self.statuses: dict[str, Counter[int]] = {}
        self.peak_memory = 0.0
        self._stopped = threading.Event()

    def _probe(self, path: str, body: bytes | None) -> None:
        while not self._stopped.wait(0.1):
            status, seconds = send_request(self._server.url, path, body)
            self.max_seconds[path] = max(self.max_seconds.get(path, 0.0), seconds)
            self.statuses.setdefault(path, Counter())[status] += 1

    def _sample_memory(self) -> None:
        while not self._stopped.wait(0.02):
            self.peak_memory = max(self.peak_memory, largest_process_memory(self._server))

    @contextmanager
    def running_probes(self) -> Iterator["Monitor"]:
        probes = [("/livez", None), ("/readyz", None), ("/predict", PICTURE)]
        with ThreadPoolExecutor(4) as pool:
            futures = [pool.submit(self._probe, *probe) for probe in probes]
            futures.append(pool.submit(self._sample_memory))
            try:
                yield self
            finally:
                self._stopped.set()
            for future in futures:
                future.result()


def largest_process_memory(server: Running) -> float:
    """Resident megabytes of the largest process of the service."""
    return max(map(megabytes, family(server.process.pid)), default=0.0)


def stalled(data: str) -> Callable[[str], Counter[int]]:
    """200 connections that send `data` and then stall."""

    def attack(url: str) -> Counter[int]:
        host, port = url.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(200)]
        for connection in connections:
            connection.sendall(data.encode())
        time.sleep(STALL_SECONDS)
        for connection in connections:
            connection.close()
        return Counter()

    return attack


def concurrently(count: int, path: str, body: bytes, kind: str) -> Callable[[str], Counter[int]]:
    """The same request from `count` clients at once."""

    def attack(url: str) -> Counter[int]:
        with ThreadPoolExecutor(count) as pool:
            answers = pool.map(
                lambda number: send_request(url, path.format(number), body, kind), range(count)
            )
            return Counter(status for status, _ in answers)

    return attack


def black_png(side: int = 5000) -> bytes:
    """A black PNG of 25 megapixels, 35 kB."""
    return encode(Image.new("RGB", (side, side)))


def zipped(contents: list[bytes]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.png", content)
    return file.getvalue()


def attacks() -> dict[str, Callable[[str], Counter[int]]]:
    small = form("archive", zipped([encode(noise(i)) for i in range(200)]), "x.zip", "application/zip")
    bits = form("archive", zipped([encode(Image.new("1", (5000, 5000)))] * 100), "x.zip", "application/zip")
    return {
        "200 idle connections": stalled(""),
        "200 halves of a head": stalled("POST /predict HTTP/1.1\r\nHo"),
        "200 bodies that stall": stalled(HEAD.format(path="/predict", length=5000) + "x"),
        "200 large bodies that stall": stalled(
            HEAD.format(path="/predict", length=5_000_000) + "x" * 100_000
        ),
        "200 bodies for no route": stalled(HEAD.format(path="/nowhere", length=70)),
        "64 black PNGs of 25 megapixels": concurrently(64, "/predict", black_png(), "image/png"),
        "80 batches of 200 pictures": concurrently(80, "/batch?team={0}", small.body, small.content_type),
        "80 batches of 100 x 25 megapixels": concurrently(
            80, "/batch?team={0}", bits.body, bits.content_type
        ),
    }


def expired_uploads(url: str) -> Counter[int]:
    """12 uploads past the deadline of a second, and then 100 pictures."""
    host, port = url.removeprefix("http://").split(":")
    connections = [socket.create_connection((host, int(port))) for _ in range(12)]
    head = HEAD.format(path="/predict", length=len(PICTURE)).encode()
    for connection in connections:
        connection.sendall(head + PICTURE[:10])
    time.sleep(1.5)
    statuses: Counter[int] = Counter()
    for connection in connections:
        connection.sendall(PICTURE[10:])
        statuses[int(connection.recv(1000).split()[1])] += 1
        connection.close()
    return statuses + Counter(send_request(url, "/predict", PICTURE)[0] for _ in range(100))


def format_statuses(statuses: Counter[int]) -> str:
    return (
        ", ".join(f"{count} x {status or 'broken'}" for status, count in sorted(statuses.items())) or "none"
    )


def row(name: str, answers: Counter[int], monitor: Monitor, after: float, before: float) -> str:
    latencies = [
        f"{monitor.max_seconds.get(path, 0.0):.2f}"
        + "*" * (not {200}.issuperset(monitor.statuses.get(path, ())))
        for path in ("/livez", "/readyz", "/predict")
    ]
    memory = f"{monitor.peak_memory:.0f} | {after - before:+.0f}"
    return f"| {name} | {format_statuses(answers)} | {' | '.join(latencies)} | {memory} |"


def main() -> int:
    """Print the tables. Returns 1 if other clients got anything but 200."""
    print("| attack | responses | slowest /livez s | /readyz s | other /predict s | peak MB | left MB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    probe_errors: Counter[str] = Counter()
    with running(ours()) as server:
        concurrently(32, "/predict", PICTURE, "image/png")(server.url)
        for _ in range(500):
            send_request(server.url, "/predict", PICTURE)
        before = largest_process_memory(server)
        for name, attack in attacks().items():
            monitor = Monitor(server)
            with monitor.running_probes():
                answers = attack(server.url)
            time.sleep(1)
            print(row(name, answers, monitor, largest_process_memory(server), before), flush=True)
            for path, statuses in monitor.statuses.items():
                for status, count in statuses.items():
                    if status != 200:
                        probe_errors[f"{path} {status}"] += count
        files: dict[str, tuple[int, float]] = {}
        monitor = Monitor(server)
        with monitor.running_probes():
            for name, build in PICTURES.items():
                files[name] = send_request(server.url, "/predict", build())
            for name, build in ARCHIVES.items():
                request = form("archive", build(), name)
                files[name] = send_request(
                    server.url, f"/batch?team={uuid.uuid4().hex}", request.body, request.content_type
                )
        time.sleep(1)
        answers = Counter(status for status, _ in files.values())
        print(
            row(f"{len(files)} hostile files", answers, monitor, largest_process_memory(server), before),
            flush=True,
        )
        names = list(PICTURES)
        bodies = [PICTURES[name]() for name in names]
        monitor = Monitor(server)
        with monitor.running_probes(), ThreadPoolExecutor(32) as pool:
            answers = Counter(
                status
                for status, _ in pool.map(lambda body: send_request(server.url, "/predict", body), bodies * 3)
            )
        time.sleep(1)
        print(
            row("the hostile pictures, 32 at once", answers, monitor, largest_process_memory(server), before),
            flush=True,
        )
    with running(ours(CIFAKE_DEADLINE_SECONDS="1")) as server:
        monitor = Monitor(server)
        before = largest_process_memory(server)
        with monitor.running_probes():
            answers = expired_uploads(server.url)
        print(
            row(
                "12 uploads past a deadline of 1 s, then 100 pictures",
                answers,
                monitor,
                largest_process_memory(server),
                before,
            )
        )
    slowest = sorted(files.items(), key=lambda item: -item[1][1])
    print("\nthe slowest of the hostile files:")
    for name, (status, seconds) in slowest[:5]:
        print(f"  {name}: {status} after {seconds:.2f} s")
    return report([f"{count} x {name}" for name, count in probe_errors.items()])
