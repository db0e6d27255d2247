"""Workers that are killed: the long form is `python -m tests.abuse jobs`."""

import io
import json
import multiprocessing
import time
from multiprocessing.process import BaseProcess
from pathlib import Path

import numpy as np
import pytest

from api.jobs.queue import JobQueue
from api.service import Service
from api.settings import load_settings
from model.predictor import Prediction
from tests.api.jobs.conftest import OPTIONS
from tests.conftest import MeanPredictor
from tests.pictures import encode, zipped

KILLS, FILES = 3, 1200


class Slow(MeanPredictor):
    """Takes a few milliseconds, so that there is time to kill it."""

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        time.sleep(0.005)
        return super().predict(pictures)


def work(outputs: str) -> None:
    """A worker process."""
    queue = JobQueue(Service(Slow(), load_settings(output_dir=outputs)))
    while True:
        if not queue.runner.run_once():
            time.sleep(0.01)


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")  # it has threads, says Python 3.12
def test_killed_workers(jobs: JobQueue, outputs: Path) -> None:
    """Two at work, of which one after another is killed and replaced."""
    fork = multiprocessing.get_context("fork")
    files = {f"{i}.png": encode(np.full((32, 32), i % 256, np.uint8)) for i in range(FILES)}
    job = jobs.submit(OPTIONS, io.BytesIO(zipped(files)), None)
    workers: list[BaseProcess] = []

    def start_two() -> None:
        workers.extend(fork.Process(target=work, args=(str(outputs),), daemon=True) for _ in range(2))
        for worker in workers[-2:]:
            worker.start()

    try:
        start_two()
        deadline = time.monotonic() + 60
        seen, killed = -1, 0
        while (now := jobs.get(job.id)).active:
            assert time.monotonic() < deadline
            if killed < KILLS and now.done > seen:
                for worker in workers[-2:]:  # one of them is the owner
                    worker.kill()
                    worker.join()
                seen = jobs.get(job.id).done  # what the next ones add is not what these had still added
                killed += 1
                start_two()
            time.sleep(0.01)
    finally:
        for worker in workers:
            worker.kill()
            worker.join()
    assert killed == KILLS
    assert now.state == "done", now.reason
    rows = json.loads((outputs / "x_prediction.json").read_bytes())
    assert rows == [{"image_id": f"{i}.png", "prediction": round(i % 256 / 255, 6)} for i in range(FILES)]
    assert now.claims == KILLS + 1
