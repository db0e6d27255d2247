"""Batching, queueing and deadlines through the HTTP interface."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from flask import Flask

from model.predictor import Prediction
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise


class BlockedPredictor(MeanPredictor):
    """After the warm-up, `predict` blocks until `unblocked` is set."""

    def __init__(self) -> None:
        self.warm = False
        self.started, self.unblocked = threading.Semaphore(0), threading.Event()
        self.sizes: list[int] = []
        self.use_all_cores: list[bool] = []

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        if self.warm:
            self.sizes.append(len(pictures))
            self.use_all_cores.append(use_all_cores)
            self.started.release()
            assert self.unblocked.wait(10)
        return super().predict(pictures)


def blocked_app(**settings: int) -> tuple[Flask, BlockedPredictor]:
    predictor = BlockedPredictor()
    app = served(predictor, **settings)
    predictor.warm = True
    return app, predictor


def post(app: Flask) -> tuple[int, str | None]:
    response = app.test_client().post("/predict", data=encode(noise()), content_type="image/png")
    return response.status_code, response.headers.get("Retry-After")


def wait_until_queued(app: Flask, count: int) -> None:
    pause = threading.Event()
    for _ in range(5000):
        if app.extensions["cifake"].batcher.queued_items == count:
            return
        pause.wait(0.002)
    pytest.fail("the requests were not queued")


def test_concurrent_requests_are_batched() -> None:
    app, predictor = blocked_app(batch_size=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, app)
        assert predictor.started.acquire(timeout=10)
        rest = [pool.submit(post, app) for _ in range(6)]
        wait_until_queued(app, 6)
        predictor.unblocked.set()
        assert [future.result(10) for future in [first, *rest]] == [(200, None)] * 7
    assert predictor.sizes == [1, 4, 2]
    assert predictor.use_all_cores == [True, False, False]  # all cores only for a single request


def test_a_full_queue_is_answered_429() -> None:
    app, predictor = blocked_app(queue_size=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, app)
        assert predictor.started.acquire(timeout=10)
        second = pool.submit(post, app)
        wait_until_queued(app, 1)
        assert post(app) == (429, "1")
        predictor.unblocked.set()
        assert [first.result(10), second.result(10)] == [(200, None)] * 2


def test_an_expired_request_is_answered_504_and_not_computed() -> None:
    app, predictor = blocked_app(deadline_seconds=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, app)
        assert predictor.started.acquire(timeout=10)
        assert post(app) == (504, None)
        predictor.unblocked.set()
        assert first.result(10) == (200, None)
    assert predictor.sizes == [1]


def test_server_timing_header() -> None:
    app, predictor = blocked_app()
    predictor.unblocked.set()
    response = app.test_client().post("/predict", data=encode(noise()), content_type="image/png")
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    assert list(stages) == ["parse", "decode", "queue", "infer"]
    assert float(stages["decode"]) > 0
