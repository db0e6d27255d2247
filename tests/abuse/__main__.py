"""The service under clients that are slow, silent, many or hostile: `python -m tests.abuse`.

It starts the service and prints a table of what became of each attack, and meanwhile of `/livez`, `/readyz`
and somebody else's picture. Linux only: memory is read from /proc.
"""

import http.client
import io
import json
import socket
import threading
import time
import uuid
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path

from PIL import Image

from tests.abuse.archives import ARCHIVES
from tests.abuse.pictures import PICTURES
from tests.benchmarks.load import form
from tests.benchmarks.servers import Running, family, ours, running
from tests.pictures import encode, noise

PICTURE = encode(noise())
HEAD = "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\nContent-Length: {length}\r\n\r\n"
SILENT_SECONDS = 5


def ask(url: str, path: str, body: bytes | None = None, kind: str = "image/png") -> tuple[int, float]:
    """(status, seconds); status 0 where the connection broke."""
    begun = time.monotonic()
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=120)
    try:
        connection.request("POST" if body is not None else "GET", path, body, {"Content-Type": kind})
        with connection.getresponse() as response:
            response.read()
            return response.status, time.monotonic() - begun
    except OSError:
        return 0, time.monotonic() - begun
    finally:
        connection.close()


class Watch:
    """What others see of the service meanwhile, and the memory of its largest process."""

    def __init__(self, server: Running) -> None:
        self._server = server
        self.slowest: dict[str, float] = {}
        self.statuses: dict[str, Counter[int]] = {}
        self.peak = 0.0
        self._over = threading.Event()

    def _probe(self, path: str, body: bytes | None) -> None:
        while not self._over.wait(0.1):
            status, seconds = ask(self._server.url, path, body)
            self.slowest[path] = max(self.slowest.get(path, 0.0), seconds)
            self.statuses.setdefault(path, Counter())[status] += 1

    def _weigh(self) -> None:
        while not self._over.wait(0.02):
            self.peak = max(self.peak, largest(self._server))

    @contextmanager
    def watching(self) -> Iterator["Watch"]:
        probes = [("/livez", None), ("/readyz", None), ("/predict", PICTURE)]
        with ThreadPoolExecutor(4) as pool:
            watchers = [pool.submit(self._probe, *probe) for probe in probes]
            watchers.append(pool.submit(self._weigh))
            try:
                yield self
            finally:
                self._over.set()
            for watcher in watchers:
                watcher.result()


def largest(server: Running) -> float:
    """Resident megabytes of the largest process of the service."""
    sizes = [0.0]
    for pid in family(server.process.pid):
        with suppress(OSError, StopIteration):
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
            sizes.append(next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024)
    return max(sizes)


def silent(data: str) -> Callable[[str], Counter[int]]:
    """200 connections that send this and then nothing."""

    def attack(url: str) -> Counter[int]:
        host, port = url.removeprefix("http://").split(":")
        connections = [socket.create_connection((host, int(port))) for _ in range(200)]
        for connection in connections:
            connection.sendall(data.encode())
        time.sleep(SILENT_SECONDS)
        for connection in connections:
            connection.close()
        return Counter()

    return attack


def at_once(count: int, path: str, body: bytes, kind: str) -> Callable[[str], Counter[int]]:
    """The same request from so many clients at once."""

    def attack(url: str) -> Counter[int]:
        with ThreadPoolExecutor(count) as pool:
            answers = pool.map(lambda number: ask(url, path.format(number), body, kind), range(count))
            return Counter(status for status, _ in answers)

    return attack


def flat(side: int = 5000) -> bytes:
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
        "200 idle connections": silent(""),
        "200 halves of a head": silent("POST /predict HTTP/1.1\r\nHo"),
        "200 bodies that stall": silent(HEAD.format(path="/predict", length=5000) + "x"),
        "200 large bodies that stall": silent(HEAD.format(path="/predict", length=5_000_000) + "x" * 100_000),
        "200 bodies for no route": silent(HEAD.format(path="/nowhere", length=70)),
        "64 flat PNGs of 25 megapixels": at_once(64, "/predict", flat(), "image/png"),
        "80 batches of 200 pictures": at_once(80, "/batch?team={0}", small.body, small.content_type),
        "80 batches of 100 x 25 megapixels": at_once(80, "/batch?team={0}", bits.body, bits.content_type),
    }


def late(url: str) -> Counter[int]:
    """12 uploads that outlast the deadline of a second, and then 100 pictures."""
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
    return statuses + Counter(ask(url, "/predict", PICTURE)[0] for _ in range(100))


def told(statuses: Counter[int]) -> str:
    return (
        ", ".join(f"{count} x {status or 'broken'}" for status, count in sorted(statuses.items())) or "none"
    )


def row(name: str, answers: Counter[int], watch: Watch, after: float, before: float) -> str:
    others = [
        f"{watch.slowest.get(path, 0.0):.2f}{'' if set(watch.statuses.get(path, {})) <= {200} else '*'}"
        for path in ("/livez", "/readyz", "/predict")
    ]
    return f"| {name} | {told(answers)} | {' | '.join(others)} | {watch.peak:.0f} | {after - before:+.0f} |"


def main() -> None:
    """Print the tables."""
    print("| attack | its answers | slowest /livez s | /readyz s | other /predict s | peak MB | left MB |")
    print("|---|---|--:|--:|--:|--:|--:|")
    unlucky: Counter[str] = Counter()
    with running(ours()) as server:
        at_once(32, "/predict", PICTURE, "image/png")(server.url)
        for _ in range(500):
            ask(server.url, "/predict", PICTURE)
        before = largest(server)
        for name, attack in attacks().items():
            watch = Watch(server)
            with watch.watching():
                answers = attack(server.url)
            time.sleep(1)
            print(row(name, answers, watch, largest(server), before), flush=True)
            for path, statuses in watch.statuses.items():
                for status, count in statuses.items():
                    if status != 200:
                        unlucky[f"{path} {status}"] += count
        files: dict[str, tuple[int, float]] = {}
        watch = Watch(server)
        with watch.watching():
            for name, build in PICTURES.items():
                files[name] = ask(server.url, "/predict", build())
            for name, build in ARCHIVES.items():
                request = form("archive", build(), name)
                files[name] = ask(
                    server.url, f"/batch?team={uuid.uuid4().hex}", request.body, request.content_type
                )
        time.sleep(1)
        answers = Counter(status for status, _ in files.values())
        print(row(f"{len(files)} hostile files", answers, watch, largest(server), before), flush=True)
        names = list(PICTURES)
        bodies = [PICTURES[name]() for name in names]
        watch = Watch(server)
        with watch.watching(), ThreadPoolExecutor(32) as pool:
            answers = Counter(
                status for status, _ in pool.map(lambda body: ask(server.url, "/predict", body), bodies * 3)
            )
        time.sleep(1)
        print(row("the pictures of them, 32 at once", answers, watch, largest(server), before), flush=True)
    with running(ours(CIFAKE_DEADLINE_SECONDS="1")) as server:
        watch = Watch(server)
        before = largest(server)
        with watch.watching():
            answers = late(server.url)
        print(
            row(
                "12 uploads of over a second for 1, then 100 pictures",
                answers,
                watch,
                largest(server),
                before,
            )
        )
    slowest = sorted(files.items(), key=lambda item: -item[1][1])
    print("\nthe slowest of the hostile files:")
    for name, (status, seconds) in slowest[:5]:
        print(f"  {name}: {status} after {seconds:.2f} s")
    print("others' answers that were not 200 (*):", json.dumps(unlucky) if unlucky else "none")


if __name__ == "__main__":
    main()
