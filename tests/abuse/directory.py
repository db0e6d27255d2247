"""Zip archives of as many files as a job may have: `python -m tests.abuse directory [FILES]`.

The peak memory of the worker that takes them, and what is left of it three seconds later.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from tests.abuse.archives import ZipEntry, raw_zip
from tests.abuse.calls import (
    STAND_IN,
    call,
    follow,
    megabytes,
    report,
    service,
    submit,
    watching_memory,
    workers,
)
from tests.benchmarks.load import form
from tests.pictures import encode

MAX_MEGABYTES = 350  # more than before; some 2 kB for each file: its name, entry and result
NAME, EXTRA = 200, 250  # bytes, near the limits of all names and entries together


def named(number: int) -> bytes:
    return b"%0*d.png" % (NAME - 4, number)


def archives(count: int) -> dict[str, Callable[[], bytes]]:
    """What builds each archive."""
    picture = encode(Image.new("RGB", (32, 32)))
    extra = b"\x99\x99" + (EXTRA - 4).to_bytes(2, "little") + bytes(EXTRA - 4)
    return {
        "no pictures, long names": lambda: raw_zip(
            *(ZipEntry(named(number), b"x", extra=extra) for number in range(count))
        ),
        "pictures, long names": lambda: raw_zip(
            *(ZipEntry(named(number), picture) for number in range(count))
        ),
        "one file too many": lambda: raw_zip(*(ZipEntry(b"%d" % number, b"") for number in range(count + 1))),
    }


def main(count: int = 120_000) -> int:
    """Print a table."""
    problems = []
    print("| archive | MB | job | files | seconds | peak MB | left MB |")
    print("|---|--:|---|--:|--:|--:|--:|")
    for name, build in archives(count).items():
        data = build()
        upload = form("archive", data, "x.zip", "application/zip")
        with (
            tempfile.TemporaryDirectory() as outputs,
            service(Path(outputs), STAND_IN, CIFAKE_MAX_JOB_FILES=str(count)) as server,
        ):
            before = max(map(megabytes, workers(server)))
            started_at = time.monotonic()
            with watching_memory(server) as memory:
                path = submit(server.url, "x", upload)
                for job in follow(server.url, path, 0.2):
                    state, done = job["state"], job["done"]
            seconds = time.monotonic() - started_at
            time.sleep(3)
            left = max(map(megabytes, workers(server))) - before
            reason = json.loads(call(server.url, "GET", path)[2]).get("reason", {}).get("status", "")
        peak = max(memory) - before
        print(
            f"| {name} | {len(data) / 1e6:.0f} | {state} {reason} | {done} | {seconds:.0f} | {peak:+.0f} | "
            f"{left:+.0f} |",
            flush=True,
        )
        if peak > MAX_MEGABYTES:
            problems.append(f"{name}: {peak:.0f} MB")
    return report(problems)
