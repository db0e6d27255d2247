"""Kills workers, and the whole service, in the middle of jobs: `python -m tests.abuse jobs`.

Every job must end with the result of an undisturbed batch, byte for byte. A stand-in for the network answers,
so that the service starts quickly. Linux only: the process that works on a job is found in /proc/locks.
"""

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.abuse.calls import ENDED, STAND_IN, call, follow, post, report, service, submit
from tests.benchmarks.load import Request, form
from tests.benchmarks.servers import Running, family
from tests.pictures import encode, noise, zipped


def owner(folder: Path) -> int | None:
    """The process that holds the lock on a job's folder."""
    inode = folder.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        _, kind, _, _, pid, place, *_ = line.split()
        if kind == "FLOCK" and int(place.rpartition(":")[2]) == inode:
            return int(pid)
    return None


def check(url: str, outputs: Path, path: str, team: str, expected: bytes) -> str:
    """How the result of a job that has ended differs from what is expected; empty if it does not."""
    job = json.loads(call(url, "GET", path)[2])
    if job["state"] != "done":
        return f"{job['state']}: {job.get('reason')}"
    _, _, result = call(url, "GET", f"{path}/result")
    rows = json.loads(result)
    names = Counter(row["image_id"] for row in rows)
    if doubled := [name for name, count in names.items() if count > 1]:
        return f"{len(doubled)} doubled"
    if len(rows) != len(json.loads(expected)):
        return f"{len(rows)} rows"
    if result != expected or (outputs / f"{team}_prediction.json").read_bytes() != expected:
        return "another result"
    return ""


def kill_workers(upload: Request, kills: int, kills_per_job: int, outputs: Path) -> list[str]:
    """Kill the worker that works on a job; what was wrong with each job."""
    rng, wrong = random.Random(0), []
    with service(outputs, STAND_IN) as server:
        expected = undisturbed(server, upload)
        for number in range(0, kills, kills_per_job):
            team = f"workers{number}"
            path = submit(server.url, team, upload)
            with killing_at(rng, kills_per_job) as is_due:
                for job in follow(server.url, path):
                    pid = owner(outputs / "jobs" / job["id"]) if is_due(job) else None
                    if pid is not None:
                        os.kill(pid, signal.SIGKILL)
                        is_due.count += 1
            wrong.append(check(server.url, outputs, path, team, expected))
    return wrong


def kill_services(upload: Request, kills: int, kills_per_job: int, outputs: Path) -> list[str]:
    """Kill all processes of the service during a job, and start it again; what was wrong with each job."""
    rng, wrong = random.Random(0), []
    with service(outputs, STAND_IN) as server:
        expected = undisturbed(server, upload)
    for number in range(0, kills, kills_per_job):
        team, path = f"service{number}", ""
        with killing_at(rng, kills_per_job) as is_due:
            ended = False
            while not ended:
                with service(outputs, STAND_IN) as server:
                    path = path or submit(server.url, team, upload)
                    for job in follow(server.url, path):
                        ended = job["state"] in ENDED
                        if is_due(job):
                            for pid in family(server.process.pid):
                                os.kill(pid, signal.SIGKILL)
                            is_due.count += 1
                            break
                    if ended:
                        wrong.append(check(server.url, outputs, path, team, expected))
    return wrong


class Due:
    """Whether a job has got as far as where it is to be killed next. count: of kills so far."""

    def __init__(self, fractions: list[float]) -> None:
        self._fractions, self.count = fractions, 0

    def __call__(self, job: dict) -> bool:
        if self.count == len(self._fractions) or job["state"] != "running" or not job["total"]:
            return False
        return job["done"] >= self._fractions[self.count] * job["total"]


@contextmanager
def killing_at(rng: random.Random, count: int) -> Iterator[Due]:
    """Places for `count` kills, all of which must have been reached at the end of the block."""
    due = Due(sorted(rng.uniform(0, 0.9) for _ in range(count)))
    yield due
    assert due.count == count, f"{due.count} of {count} kills"


def undisturbed(server: Running, upload: Request) -> bytes:
    """What `POST /batch` answers."""
    status, _, body = post(server.url, "/batch?team=undisturbed", upload)
    assert status == 200, body
    return body


def main(pictures: int = 10_000, kills: int = 20, kills_per_job: int = 1) -> int:
    """Print a table."""
    files = {f"{i}.png": encode(noise(i)) for i in range(pictures)}
    upload = form("archive", zipped(files), "x.zip", "application/zip")
    problems: list[str] = []
    print("| killed | kills | jobs | pictures each | complete and equal | seconds |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, attack in (("worker", kill_workers), ("service", kill_services)):
        started_at = time.monotonic()
        with tempfile.TemporaryDirectory() as outputs:
            wrong = attack(upload, kills, kills_per_job, Path(outputs))
        equal, seconds = wrong.count(""), time.monotonic() - started_at
        print(f"| {name} | {kills} | {len(wrong)} | {pictures} | {equal} | {seconds:.0f} |", flush=True)
        problems += filter(None, wrong)
    return report(problems)
