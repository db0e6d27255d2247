"""A job of 100,000 small pictures, and single ones beside it: `python -m tests.abuse large-job [PICTURES]`.

It prints the job's time against that of decoding and the engine alone, the memory of its worker, and the 99th
percentile of single pictures that come 20 a second, with and without a job.
"""

import io
import json
import math
import statistics
import tempfile
import time
import zipfile
from pathlib import Path

import numpy as np

from api.service import Service, load_predictor
from api.settings import load_settings
from tests.abuse.calls import (
    ENDED,
    call,
    cpu_seconds,
    follow,
    paced,
    report,
    service,
    submit,
    watching_memory,
)
from tests.benchmarks.load import Request, form
from tests.pictures import encode, noise

ALONE = 5000  # pictures that decoding and the engine are timed with
RATE, PHASE_SECONDS, PHASES = 20, 10, 4
LIST = 32


def picture(number: int) -> bytes:
    """One of many different PNG files of 32x32 pixels."""
    pixels = noise(number % 1000).astype(np.uint16) + number // 1000
    return encode((pixels % 256).astype(np.uint8), compress_level=1)


def archive(count: int) -> Request:
    """A form with a zip of `count` pictures."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(count):
            archive.writestr(f"{number}.png", picture(number))
    return form("archive", file.getvalue(), "x.zip", "application/zip")


def alone(count: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU time, to decode and predict one picture in this process."""
    settings = load_settings(device="cpu")
    bare = Service(load_predictor(settings), settings)
    bare.warm_up()
    files = [picture(number) for number in range(count)]
    started_at, cpu_at = time.monotonic(), time.process_time()
    for first in range(0, count, LIST):
        pixels = [bare.decode_picture(file, math.inf).pixels for file in files[first : first + LIST]]
        bare.predictor.predict(pixels)
    return (time.monotonic() - started_at) / count, (time.process_time() - cpu_at) / count


def singles(url: str) -> tuple[float, float, int]:
    """50th and 99th percentile in milliseconds, and how many were not answered 200."""
    with paced(url, "/predict", picture(7), RATE) as answers:
        time.sleep(PHASE_SECONDS)
    return answers.percentile(50), answers.percentile(99), answers.statuses.total() - len(answers.seconds)


def latencies(url: str, upload: Request) -> list[str]:
    """Print the latency of singles with and without a job, in turns; what is wrong."""
    found: dict[str, list[tuple[float, float, int]]] = {"without a job": [], "with a job": []}
    for number in range(PHASES):
        found["without a job"].append(singles(url))
        path = submit(url, f"beside{number}", upload)
        found["with a job"].append(singles(url))
        job = json.loads(call(url, "GET", path)[2])
        call(url, "DELETE", path)
        assert job["state"] == "running", f"the job was too small: {job}"
        rate = job["done"] / PHASE_SECONDS
    print(f"\n| {RATE} pictures a second | p50 ms | p99 ms | p99 of each turn |\n|---|--:|--:|---|")
    for name, turns in found.items():
        medians = [statistics.median(turn[place] for turn in turns) for place in (0, 1)]
        each = ", ".join(f"{turn[1]:.0f}" for turn in turns)
        print(f"| {name} | {medians[0]:.0f} | {medians[1]:.0f} | {each} |", flush=True)
    print(f"the job got on with {rate:.0f} pictures a second meanwhile")
    refused = sum(turn[2] for turns in found.values() for turn in turns)
    return [f"{refused} single pictures were not answered 200"] if refused else []


def main(count: int = 100_000) -> int:
    """Print it all."""
    upload, problems = archive(count), []
    print(f"{count} pictures, {len(upload.body) / 1e6:.0f} MB", flush=True)
    with tempfile.TemporaryDirectory() as outputs, service(Path(outputs)) as server:
        problems += latencies(server.url, archive(min(count, 20_000)))
        before = [alone(ALONE)]
        with watching_memory(server) as memory:
            started_at, cpu_at = time.monotonic(), cpu_seconds(server)
            path = submit(server.url, "large", upload)
            accepted = time.monotonic() - started_at
            for job in follow(server.url, path, 0.5):
                if job["state"] in ENDED:
                    problems += [] if job["state"] == "done" else [f"the job {job['state']}: {job['reason']}"]
            seconds, cpu = time.monotonic() - started_at, cpu_seconds(server) - cpu_at
        before.append(alone(ALONE))
        wall, own_cpu = (statistics.mean(values) * count for values in zip(*before, strict=True))
        rows = json.loads(call(server.url, "GET", f"{path}/result")[2])
        if [row["image_id"] for row in rows] != [f"{number}.png" for number in range(count)]:
            problems.append(f"{len(rows)} rows, or in another order")
    print(f"\naccepted after {accepted:.1f} s, done after {seconds:.0f} s, {cpu:.0f} s of CPU time")
    print(f"decoding and the engine alone: {wall:.0f} s, {own_cpu:.0f} s of CPU time")
    print(f"that is {wall / seconds:.0%} of the job's time, and {own_cpu / cpu:.0%} of its CPU time")
    print(f"memory: {memory[1]:.0f} MB at first, {max(memory):.0f} MB at most", flush=True)
    return report(problems)
