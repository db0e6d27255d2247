"""Mixed load for long: `python -m tests.abuse soak [MINUTES]`, thirty by default.

Clients ask for what people ask for, send what is broken, and leave in the middle. No answer may be another
than is due, and memory, threads and open files of the workers may not grow after the first tenth of the time.
"""

import os
import random
import socket
import statistics
import tempfile
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from tests.abuse.calls import call, follow, megabytes, post, report, service, submit, workers
from tests.benchmarks.load import form
from tests.benchmarks.servers import Running
from tests.pictures import encode, noise, zipped

CLIENTS, PAUSE_SECONDS, SAMPLES = 6, 0.05, 20
MAX_GROWTH_MB, MAX_GROWTH_FILES, MAX_GROWTH_THREADS = 50, 16, 4

SMALL = encode(noise())
LARGE = encode(noise(1, 1000, 800), "JPEG")
BROKEN = SMALL[: len(SMALL) // 2]
ARCHIVE = form(
    "archive", zipped({f"{n}.png": encode(noise(n)) for n in range(40)} | {"a.txt": b"x"}), "x.zip"
)


def picture(path: str, body: bytes) -> Callable[[str, int], int]:
    """A request with one picture: returns its status."""
    return lambda url, _: call(url, "POST", path, body, Content_Type="image/png")[0]


def get(path: str) -> Callable[[str, int], int]:
    """A request without a body: returns its status."""
    return lambda url, _: call(url, "GET", path)[0]


def batch(url: str, client: int) -> int:
    """A batch that is waited for."""
    return post(url, f"/batch?team=soak{client}", ARCHIVE)[0]


def job(url: str, client: int) -> int:
    """A job that is followed, downloaded and deleted."""
    path = submit(url, f"job{client}", ARCHIVE)
    [*_, last] = follow(url, path, 0.1)
    status = call(url, "GET", f"{path}/result")[0] if last["state"] == "done" else 500
    return max(status, call(url, "DELETE", path)[0] - 4)  # 204: removed


def leave(url: str, _: int) -> int:
    """Half a request, and then the connection is closed."""
    host, port = urlsplit(url).hostname, urlsplit(url).port
    with socket.create_connection((host, port), timeout=30) as sock:
        sock.sendall(b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n" + SMALL[:100])
    return 0


# name: (weight, request, the status that is due)
KINDS: dict[str, tuple[int, Callable[[str, int], int], int]] = {
    "predict": (40, picture("/predict", SMALL), 200),
    "predict, all options": (4, picture("/predict?provenance=1&abstain=0.9", SMALL), 200),
    "heat map": (2, picture("/predict?explain=gradcam", SMALL), 200),
    "large": (4, picture("/predict", LARGE), 200),
    "broken": (4, picture("/predict", BROKEN), 422),
    "text": (2, picture("/predict", b"text" * 99), 415),
    "batch": (2, batch, 200),
    "job": (1, job, 200),
    "leaves": (4, leave, 0),
    "metrics": (1, get("/metrics"), 200),
    "ready": (2, get("/readyz"), 200),
    "unknown": (1, get("/nowhere"), 404),
}


def files(pid: int) -> int:
    """Open files of a process."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def threads(pid: int) -> int:
    """Threads of a process."""
    return len(os.listdir(f"/proc/{pid}/task"))


def sample(server: Running) -> tuple[float, int, int]:
    """Most memory in MB, open files and threads of a worker."""
    pids = workers(server)
    return max(map(megabytes, pids)), max(map(files, pids)), max(map(threads, pids))


def main(minutes: int = 30) -> int:
    """Print samples, the answers of each kind and their times, and what is wrong."""
    end = time.monotonic() + 60 * minutes
    seconds: dict[str, list[float]] = defaultdict(list)
    wrong: Counter[tuple[str, int]] = Counter()

    def client(number: int, url: str) -> None:
        rng = random.Random(number)
        weights = [weight for weight, _, _ in KINDS.values()]
        while time.monotonic() < end:
            [name] = rng.choices(list(KINDS), weights)
            _, request, due = KINDS[name]
            started_at = time.monotonic()
            status = request(url, number)
            seconds[name].append(time.monotonic() - started_at)
            if status != due:
                wrong[name, status] += 1
            stopped.wait(rng.uniform(0, 2 * PAUSE_SECONDS))

    stopped = threading.Event()
    with tempfile.TemporaryDirectory() as outputs, service(Path(outputs)) as server:
        pids = workers(server)
        found = [sample(server)]
        with ThreadPoolExecutor(CLIENTS) as pool:
            futures = [pool.submit(client, number, server.url) for number in range(CLIENTS)]
            print("| minutes | requests | MB | open files | threads |\n|--:|--:|--:|--:|--:|")
            for number in range(1, SAMPLES + 1):
                time.sleep(60 * minutes / SAMPLES)
                found.append(sample(server))
                cells = (f"{minutes * number / SAMPLES:.1f}", sum(map(len, seconds.values())), *found[-1])
                print("| {} | {} | {:.0f} | {} | {} |".format(*cells), flush=True)
            for future in futures:
                future.result()
        problems = [] if workers(server) == pids else ["workers were started"]
        left = [path.name for path in Path(outputs).rglob("*") if path.name.startswith(".")]
    print("\n| | answers | median ms | longest ms |\n|---|--:|--:|--:|")
    for name, values in sorted(seconds.items()):
        print(f"| {name} | {len(values)} | {statistics.median(values) * 1e3:.0f} | {max(values) * 1e3:.0f} |")
    problems += [f"{name}: {count} times status {status}" for (name, status), count in wrong.items()]
    problems += [f"left behind: {left}"] if left else []
    warm, late = found[1 : SAMPLES // 10 + 1], found[-SAMPLES // 4 :]
    limits = (("MB", MAX_GROWTH_MB), ("open files", MAX_GROWTH_FILES), ("threads", MAX_GROWTH_THREADS))
    for place, (what, limit) in enumerate(limits):
        growth = statistics.median(each[place] for each in late) - max(each[place] for each in warm)
        print(f"{what}: {growth:+.0f} since the first tenth")
        if growth > limit:
            problems.append(f"{what} grew by {growth:.0f}, {limit} are allowed")
    return report(problems)
