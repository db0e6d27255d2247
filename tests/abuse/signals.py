"""Signals under load: `python -m tests.abuse signals [ROUNDS [KILLS]]`.

SIGTERM while 64 requests are under way, each of which must be answered; SIGHUP with another checkpoint, of
which no client may notice but by the digest at `/model`; SIGKILL of workers during uploads, which may only
break connections of that worker. Afterwards the service is whole and has left no file behind.
"""

import http.client
import json
import os
import random
import shutil
import signal
import tempfile
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from model import SHIPPED
from tests.abuse.calls import (
    STAND_IN,
    call,
    follow,
    paced,
    post,
    report,
    service,
    submit,
    wait_for_workers,
    workers,
)
from tests.benchmarks.load import Request, form
from tests.benchmarks.servers import Running
from tests.pictures import encode, noise, zipped

PICTURE = encode(noise())
AT_ONCE, RATE, RELOAD_SECONDS = 64, 20, 90
END_SECONDS = 60  # after SIGTERM
CLEAN_UP_SECONDS = 150


def ask_when_told(url: str, told: threading.Barrier, body: bytes) -> tuple[int, str]:
    """(status, label or detail) of a request that is sent when all clients are there; 0: broken."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=END_SECONDS)
    try:
        connection.connect()
        told.wait(END_SECONDS)
        connection.request("POST", "/predict", body, {"Content-Type": "image/png"})
        told.wait(END_SECONDS)
        with connection.getresponse() as response:
            answer = json.loads(response.read())
            return response.status, answer.get("label") or answer["detail"]
    except (OSError, http.client.HTTPException) as error:
        return 0, repr(error)
    finally:
        connection.close()


def terminate(rounds: int) -> list[str]:
    """SIGTERM when 64 requests have been sent, and none of them can have been answered for lack of time."""
    problems = []
    body = encode(noise(1, 1500, 1000))  # some milliseconds to decode
    for number in range(rounds):
        with tempfile.TemporaryDirectory() as outputs, service(Path(outputs)) as server:
            told = threading.Barrier(AT_ONCE + 1)
            with ThreadPoolExecutor(AT_ONCE) as pool:
                futures = [pool.submit(ask_when_told, server.url, told, body) for _ in range(AT_ONCE)]
                told.wait(END_SECONDS)
                told.wait(END_SECONDS)
                time.sleep(0.05)  # until the last of them has come out of the kernel
                started_at = time.monotonic()
                os.kill(server.process.pid, signal.SIGTERM)
                answers = Counter(future.result() for future in futures)
            ended = server.process.wait(END_SECONDS)
            seconds = time.monotonic() - started_at
        print(f"SIGTERM {number + 1}: {dict(answers)}, status {ended} after {seconds:.1f} s", flush=True)
        if {status for status, _ in answers} != {200} or ended != 0:
            problems.append(f"SIGTERM: {dict(answers)}, exit status {ended}")
    return problems


def other_checkpoint(path: Path) -> None:
    """The shipped checkpoint with another name of its recipe, and so another digest."""
    import torch

    checkpoint = torch.load(SHIPPED, map_location="cpu", weights_only=True)
    checkpoint["recipe"] = {**(checkpoint.get("recipe") or {}), "name": f"other {random.random()}"}
    torch.save(checkpoint, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


def digests(url: str) -> set[str]:
    """Of the checkpoints that are served; a worker answers each of the connections, which take turns."""
    return {json.loads(call(url, "GET", "/model")[2])["digest"] for _ in range(8)}


def reload(rounds: int) -> list[str]:
    """SIGHUP under 20 requests a second, with another file each time."""
    problems = []
    with tempfile.TemporaryDirectory() as folder:
        model = Path(shutil.copyfile(SHIPPED, Path(folder, "served.pth")))
        with service(Path(folder), CIFAKE_MODEL=str(model)) as server:
            pids = workers(server)
            with paced(server.url, "/predict", PICTURE, RATE) as before:
                time.sleep(10)
            for number in range(rounds):
                former = digests(server.url)
                other_checkpoint(model)
                with paced(server.url, "/predict", PICTURE, RATE) as meanwhile:
                    started_at = time.monotonic()
                    os.kill(server.process.pid, signal.SIGHUP)
                    while len(served := digests(server.url)) != 1 or served == former:
                        if time.monotonic() > started_at + RELOAD_SECONDS:
                            problems.append(f"SIGHUP: {served} are served")
                            break
                        time.sleep(0.2)
                    seconds = time.monotonic() - started_at
                    time.sleep(1)
                print(f"SIGHUP {number + 1}: {dict(meanwhile.statuses)}, all workers after {seconds:.1f} s, ")
                for name, answers in (("without it", before), ("meanwhile", meanwhile)):
                    longest = max(answers.seconds) * 1000
                    print(
                        f"  {name} p99 {answers.percentile(99):.0f} ms, longest {longest:.0f} ms", flush=True
                    )
                if set(meanwhile.statuses) != {200}:
                    problems.append(f"SIGHUP: {dict(meanwhile.statuses)}")
            if workers(server) != pids:
                problems.append("SIGHUP: workers were started")
    return problems


def upload_again(url: str, stopped: threading.Event, number: int, upload: Request) -> Counter[str]:
    """Statuses of uploads, one after the other: of jobs, or of batches."""
    found: Counter[str] = Counter()
    while not stopped.is_set():
        headers = {"Prefer": "respond-async"} if number % 2 else {}
        try:
            status, _, _ = post(url, f"/batch?team=t{number}", upload, **headers)
            found[str(status)] += 1
        except (OSError, http.client.HTTPException):
            found["broken"] += 1
            time.sleep(0.05)  # the other worker may be about to answer
    return found


def kill_workers(server: Running, kills: int, rng: random.Random) -> int:
    """SIGKILL of a worker at a time, and again once there are as many as before; how many were killed."""
    count = len(workers(server))
    for _ in range(kills):
        time.sleep(rng.uniform(0.2, 1.0))
        pid = rng.choice(sorted(workers(server)))
        os.kill(pid, signal.SIGKILL)
        while pid in workers(server):
            time.sleep(0.01)
        wait_for_workers(server, count)
    return kills


def kill(kills: int) -> list[str]:
    """Kill workers during uploads."""
    problems, stopped = [], threading.Event()
    upload = form(
        "archive",
        zipped({f"{number}.png": encode(noise(number)) for number in range(20)} | {"x": os.urandom(1 << 21)}),
        "x.zip",
        "application/zip",
    )
    with tempfile.TemporaryDirectory() as outputs, tempfile.TemporaryDirectory() as temporary:
        with service(
            Path(outputs), STAND_IN, CIFAKE_WORKERS="2", TMPDIR=temporary, CIFAKE_MAX_JOBS="9"
        ) as server:
            with ThreadPoolExecutor(4) as pool:
                futures = [
                    pool.submit(upload_again, server.url, stopped, number, upload) for number in range(4)
                ]
                try:
                    done = kill_workers(server, kills, random.Random(0))
                finally:
                    stopped.set()
                found = sum((future.result() for future in futures), Counter())
            deadline = time.monotonic() + 120
            while any_active(server.url) and time.monotonic() < deadline:
                time.sleep(0.2)
            *_, job = follow(server.url, submit(server.url, "last", upload))
            problems += [] if job["state"] == "done" else [f"SIGKILL: the last job is {job}"]
            problems += orphans(Path(outputs), server.url)
        problems += [f"SIGKILL: {name} is left" for name in os.listdir(temporary)]
    print(f"SIGKILL: {done} kills, uploads {dict(found)}", flush=True)
    strange = {name for name in found if name not in ("200", "202", "429", "broken")}
    problems += [f"SIGKILL: answers {strange}"] if strange else []
    # A worker has all four uploads at most, and a client may meet the next one's start.
    if found["broken"] > 8 * kills:
        problems.append(f"SIGKILL: {found['broken']} connections broke")
    return problems


def any_active(url: str) -> bool:
    """Whether a job has not ended."""
    jobs = json.loads(call(url, "GET", "/batch?limit=1000")[2])["jobs"]
    return any(job["state"] in ("queued", "running") for job in jobs)


def orphans(outputs: Path, url: str) -> list[str]:
    """Folders of no job, uploads of jobs that have ended, and files that are not whole.

    What a killed process leaves is removed an hour later: here it is made to look so old, and is waited for.
    """
    jobs = {job["id"] for job in json.loads(call(url, "GET", "/batch?limit=1000")[2])["jobs"]}

    def left() -> list[Path]:
        folders = [path for path in (outputs / "jobs").iterdir() if path.is_dir() and path.name not in jobs]
        return [*outputs.rglob("*.part"), *outputs.rglob("upload"), *folders]

    for path in left():
        os.utime(path, (0, 0))
    deadline = time.monotonic() + CLEAN_UP_SECONDS
    while left() and time.monotonic() < deadline:
        time.sleep(0.5)
    return [f"SIGKILL: {path} is left" for path in left()]


def main(rounds: int = 3, kills: int = 20) -> int:
    """Print what came of each signal."""
    return report([*terminate(rounds), *reload(rounds), *kill(kills)])
