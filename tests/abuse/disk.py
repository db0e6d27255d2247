"""What goes wrong with the output folder while batches and jobs run: `python -m tests.abuse disk`. As root.

The disk is full or read-only, the folder is removed, the record of jobs is locked by another process, or
damaged. Each time, batches and jobs must be answered clearly, what was there before must be whole, single
pictures must not notice, and afterwards the job must end with the result of an undisturbed batch.
"""

import json
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.abuse.calls import ENDED, STAND_IN, call, follow, paced, post, report, service, submit
from tests.benchmarks.load import Request, form
from tests.pictures import encode, noise, zipped

PICTURES = 20_000
SIZE = "64m"
WAIT_SECONDS = 60
PICTURE = encode(noise())


@dataclass
class Trial:
    """A service whose output folder is a small file system, and a job that it works on.

    kept: the file of an earlier batch. problems: what was wrong.
    """

    url: str
    outputs: Path
    job: str
    kept: Path
    small: Request
    problems: list[str] = field(default_factory=list)

    def expect(self, right: bool, words: str) -> None:
        if not right:
            self.problems.append(words)

    def batch(self, *expected: int) -> None:
        """A synchronous batch, which is answered by one of these statuses, and without any path."""
        status, _, body = post(self.url, "/batch?team=kept", self.small)
        self._check("POST /batch", status, body, expected)

    def new_job(self, *expected: int) -> None:
        status, _, body = post(self.url, "/batch?team=other", self.small, Prefer="respond-async")
        self._check("POST /batch for a job", status, body, expected)

    def ask(self, *expected: int) -> None:
        status, _, body = call(self.url, "GET", self.job)
        self._check("GET /batch/ID", status, body, expected)

    def wait_for_reason(self, words: str) -> None:
        """Until the job says that it waits for this, or the record of jobs cannot be read."""
        deadline, found = time.monotonic() + WAIT_SECONDS, b""
        while time.monotonic() < deadline:
            status, _, found = call(self.url, "GET", self.job)
            if status == 503 or words in json.loads(found).get("reason", {}).get("detail", ""):
                print(f"  the job: {status} {json.loads(found).get('reason') or json.loads(found)}")
                return
            time.sleep(0.05)
        self.problems.append(f"the job gives no reason: {found.decode()}")

    def _check(self, what: str, status: int, body: bytes, expected: tuple[int, ...]) -> None:
        print(f"  {what}: {status} {json.loads(body).get('detail', '') if status >= 400 else ''}", flush=True)
        self.expect(status in expected, f"{what}: {status} {body[:300].decode()}")
        self.expect(str(self.outputs).encode() not in body, f"{what} tells a path: {body[:300].decode()}")


def fill(folder: Path) -> Path:
    """A file that takes all that is free."""
    path = folder / "filler"
    with path.open("wb", buffering=0) as file, suppress(OSError):
        for size in (1 << 20, 1 << 12, 1):
            with suppress(OSError):
                while file.write(bytes(size)):
                    pass
    return path


def full(trial: Trial) -> None:
    """No byte is free."""
    filler = fill(trial.outputs)
    trial.wait_for_reason("room on the disk")
    trial.batch(507)
    trial.new_job(507, 503)
    filler.unlink()


def read_only(trial: Trial) -> None:
    """The file system is mounted anew for reading only."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not _mount("-o", "remount,ro", str(trial.outputs)):  # busy while a file is open for writing
        if time.monotonic() > deadline:
            raise TimeoutError("remount")
        time.sleep(0.01)
    try:
        trial.wait_for_reason("Read-only file system")
        trial.batch(507)
        trial.new_job(507, 503)
    finally:
        _mount("-o", "remount,rw", str(trial.outputs))


def locked(trial: Trial) -> None:
    """Another process has begun to write to the record of jobs, and does not end."""
    database = sqlite3.connect(trial.outputs / "jobs" / "jobs.sqlite3", isolation_level=None, timeout=60)
    database.execute("BEGIN EXCLUSIVE")
    trial.ask(200)
    trial.new_job(503)
    trial.batch(200)
    database.close()


def damaged(trial: Trial) -> None:
    """Bytes of the record of jobs are overwritten, and later put back."""
    path = trial.outputs / "jobs" / "jobs.sqlite3"
    with sqlite3.connect(path, isolation_level=None, timeout=60) as database:
        database.execute("BEGIN EXCLUSIVE")  # so that nobody writes to it meanwhile
        right = path.read_bytes()[:100]
        with path.open("r+b") as file:
            file.write(b"damaged " * 12)
        database.execute("ROLLBACK")
    trial.ask(503)
    trial.new_job(503)
    trial.batch(200)
    with path.open("r+b") as file:
        file.write(right)


def removed(trial: Trial) -> None:
    """All that is in the folder is removed: the job is unknown, and new ones are taken."""
    for path in trial.outputs.iterdir():
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    trial.ask(404)
    trial.batch(200)
    trial.new_job(202)


FAULTS: tuple[Callable[[Trial], None], ...] = (full, read_only, locked, damaged, removed)


@contextmanager
def small_disk() -> Iterator[Path]:
    """A file system in memory."""
    with tempfile.TemporaryDirectory() as folder:
        if not _mount("-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", folder):
            raise SystemExit("the disk attack mounts a small file system: run it as root")
        try:
            yield Path(folder)
        finally:
            subprocess.run(["umount", "--lazy", folder], check=True, timeout=WAIT_SECONDS)


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, timeout=WAIT_SECONDS).returncode == 0


def attempt(fault: Callable[[Trial], None], large: Request, small: Request, expected: bytes) -> list[str]:
    """One fault in the middle of a job; what was wrong."""
    with small_disk() as outputs, service(outputs, STAND_IN, CIFAKE_WORKERS="2") as server:
        status, _, before = post(server.url, "/batch?team=kept", small)
        assert status == 200, before
        kept = outputs / "kept_prediction.json"
        trial = Trial(server.url, outputs, submit(server.url, "job", large), kept, small)
        for job in follow(server.url, trial.job):
            if job["done"]:
                break
        trial.expect(job["state"] == "running", f"the job was too small: {job}")
        with paced(server.url, "/predict", PICTURE, 10) as answers:
            fault(trial)
        started_at = time.monotonic()
        if fault is not removed:
            trial.expect(kept.read_bytes() == before, "what was there before was changed")
            for job in follow(server.url, trial.job, 0.2):
                if job["state"] in ENDED:
                    trial.expect(job["state"] == "done", f"the job {job['state']}: {job.get('reason')}")
            result = call(server.url, "GET", f"{trial.job}/result")[2]
            trial.expect(result == expected, "the job has another result")
        trial.expect(set(answers.statuses) == {200}, f"single pictures got {dict(answers.statuses)}")
        trial.expect(not list(outputs.rglob("*.part")), "a file that is not whole is left")
    print(
        f"  the job ended {time.monotonic() - started_at:.0f} s later; {dict(answers.statuses)}", flush=True
    )
    return [f"{fault.__name__}: {problem}" for problem in trial.problems]


def main(pictures: int = PICTURES) -> int:
    """Print the answers to each fault."""
    files = {f"{number}.png": encode(noise(number % 1000), compress_level=1) for number in range(pictures)}
    large = form("archive", zipped(files), "x.zip", "application/zip")
    small = form("archive", zipped(dict(list(files.items())[:500])), "x.zip", "application/zip")
    with tempfile.TemporaryDirectory() as folder, service(Path(folder), STAND_IN) as server:
        status, _, expected = post(server.url, "/batch?team=undisturbed", large)
        assert status == 200, expected
    problems = []
    for fault in FAULTS:
        print(f"{fault.__name__}: {fault.__doc__}", flush=True)
        problems += attempt(fault, large, small, expected)
    return report(problems)
