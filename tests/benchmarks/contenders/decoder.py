"""Decodes picture files in one thread: a process of `python -m tests.benchmarks.decode`.

`python decoder.py service`, or `pillow`. Each line `SECONDS PATH` of its input is answered with the number of
times that the file is decoded and brought to the network's size in a second of processor time. PYTHONPATH is
the checkout whose code is measured.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np

WAIT_SECONDS = 30


def service() -> Callable[[bytes], np.ndarray]:
    """As `POST /predict` decodes: `decode` within all limits and a deadline, and `Preprocess.fit`."""
    from api.service import Service
    from api.settings import Settings
    from model.images.preprocess import Preprocess

    opened = Service(SimpleNamespace(preprocess=Preprocess()), Settings())
    return lambda file: opened.decode_picture(file, time.monotonic() + WAIT_SECONDS).pixels


def pillow() -> Callable[[bytes], np.ndarray]:
    """As the other frameworks decode, without limits."""
    from tests.benchmarks.contenders.shared_predictor import pixels

    return pixels


def rate(decode: Callable[[bytes], np.ndarray], file: bytes, seconds: float) -> float:
    """Pictures per second of processor time, in `seconds` of it, after one that is not counted."""
    decode(file)
    count, start = 0, time.process_time()
    while (passed := time.process_time() - start) < seconds:
        decode(file)
        count += 1
    return count / passed


if __name__ == "__main__":
    decode = {"service": service, "pillow": pillow}[sys.argv[1]]()
    for line in sys.stdin:
        seconds, path = line.rstrip("\n").split(" ", 1)
        print(rate(decode, Path(path).read_bytes(), float(seconds)), flush=True)
