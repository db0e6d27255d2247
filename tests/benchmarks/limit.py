"""Comparison with the upper bound of throughput: the engine alone, and a route that parses and decodes only.

`python -m tests.benchmarks.limit`. The CPU times per image add up, so the bound
is 1 / (1 / engine + 1 / parse and decode) images per second.
"""

import io
import json
import statistics
import sys
import time
import zipfile

import numpy as np

from model.images.decode import decode
from model.predictor import Predictor
from tests.benchmarks.command import parser
from tests.benchmarks.load import ask, form, load
from tests.benchmarks.servers import Contender, ours, running
from tests.pictures import encode, noise

BATCH, PICTURES = 32, 10_000


def engine_alone(predictor: Predictor, seconds: float) -> float:
    """Images per second in prepared batches of 32."""
    batch = np.stack([noise(seed) for seed in range(BATCH)])
    predictor.forward(batch)
    count, start = 0, time.monotonic()
    while time.monotonic() < start + seconds:
        predictor.forward(batch)
        count += BATCH
    return count / (time.monotonic() - start)


def decode_alone(files: list[bytes]) -> float:
    """Images per second in one thread."""
    start = time.monotonic()
    for file in files:
        decode(file)
    return len(files) / (time.monotonic() - start)


def archive(files: list[bytes]) -> bytes:
    """A zip archive of the files."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as file:
        for number, data in enumerate(files):
            file.writestr(f"{number}.png", data)
    return packed.getvalue()


def batch_seconds(url: str, packed: bytes) -> float:
    """Seconds that /batch takes for an archive."""
    request = form("archive", packed, "x.zip", "application/zip")
    start = time.monotonic()
    assert len(ask(url + "/batch?team=x", request)) == PICTURES
    return time.monotonic() - start


if __name__ == "__main__":
    options = parser("limit").parse_args()
    files = [encode(noise(seed)) for seed in range(PICTURES)]
    packed, picture = archive(files), form("file", files[0])
    predictor = Predictor.load(engine="auto", precision="auto")
    parser_only = Contender(
        "parse and decode",
        (
            sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "-b", "127.0.0.1:{port}",
            "tests.benchmarks.contenders.parse_only:app",
        ),
    )  # fmt: skip
    rows = []
    with running(ours()) as service, running(parser_only) as parses:
        for _ in range(options.rounds):
            engine = engine_alone(predictor, options.seconds)
            parsing = load(parses.url + "/predict", picture, 32, options.seconds).rate
            http = load(service.url + "/predict", picture, 32, options.seconds).rate
            decoding = decode_alone(files)
            batch = PICTURES / batch_seconds(service.url, packed)
            rows.append(
                {
                    "engine": engine,
                    "parse_and_decode": parsing,
                    "service": http,
                    "of_the_limit": http / (1 / (1 / engine + 1 / parsing)),
                    "decode": decoding,
                    "batch": batch,
                    "batch_of_the_limit": batch / (1 / (1 / engine + 1 / decoding)),
                }
            )
            print({name: round(value, 3) for name, value in rows[-1].items()}, flush=True)
    for name in rows[0]:
        values = [row[name] for row in rows]
        print(f"{name:20} {statistics.median(values):10.2f}  ({min(values):.2f} to {max(values):.2f})")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
