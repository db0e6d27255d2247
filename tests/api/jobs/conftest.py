from pathlib import Path

import pytest

from api.batches.options import BatchOptions
from api.jobs.queue import JobQueue
from api.service import Service
from api.settings import load_settings
from tests.conftest import MeanPredictor

OPTIONS = BatchOptions("x")


@pytest.fixture
def jobs(outputs: Path) -> JobQueue:
    """Jobs whose runner is not started: a test calls its `run_once`."""
    settings = load_settings(output_dir=str(outputs), max_image_pixels=250_000, max_batch_pixels=1_000_000)
    queue = JobQueue(Service(MeanPredictor(), settings))
    queue.runner.start = lambda: None  # type: ignore[method-assign]
    return queue
