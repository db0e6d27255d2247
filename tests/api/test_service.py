"""The queue before the model, as HTTP shows it."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from flask import Flask

from model.predictor import Prediction
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise


class Held(MeanPredictor):
    """Answers nothing, once warm, until it is let."""

    def __init__(self) -> None:
        self.warm = False
        self.begun, self.let = threading.Semaphore(0), threading.Event()
        self.sizes: list[int] = []
        self.alone: list[bool] = []

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        if self.warm:
            self.sizes.append(len(pictures))
            self.alone.append(use_all_cores)
            self.begun.release()
            assert self.let.wait(10)
        return super().predict(pictures)


def held(**settings: int) -> tuple[Flask, Held]:
    predictor = Held()
    app = served(predictor, **settings)
    predictor.warm = True
    return app, predictor


def post(app: Flask) -> tuple[int, str | None]:
    response = app.test_client().post("/predict", data=encode(noise()), content_type="image/png")
    return response.status_code, response.headers.get("Retry-After")


def waiting(app: Flask, count: int) -> None:
    until = threading.Event()
    for _ in range(5000):
        if app.extensions["cifake"].batcher.waiting == count:
            return
        until.wait(0.002)
    pytest.fail("they never came to wait")


def test_requests_that_come_together_are_computed_together() -> None:
    app, predictor = held(batch_size=4)
    with ThreadPoolExecutor(8) as pool:
        first = pool.submit(post, app)
        assert predictor.begun.acquire(timeout=10)
        rest = [pool.submit(post, app) for _ in range(6)]
        waiting(app, 6)
        predictor.let.set()
        assert [future.result(10) for future in [first, *rest]] == [(200, None)] * 7
    assert predictor.sizes == [1, 4, 2]
    assert predictor.alone == [True, False, False]  # all cores for one picture, one for each of several


def test_a_full_queue_is_told_at_once() -> None:
    app, predictor = held(queue_size=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(post, app)
        assert predictor.begun.acquire(timeout=10)
        second = pool.submit(post, app)
        waiting(app, 1)
        assert post(app) == (429, "1")
        predictor.let.set()
        assert [first.result(10), second.result(10)] == [(200, None)] * 2


def test_what_comes_too_late_is_not_computed() -> None:
    app, predictor = held(deadline_seconds=1)
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(post, app)
        assert predictor.begun.acquire(timeout=10)
        assert post(app) == (504, None)
        predictor.let.set()
        assert first.result(10) == (200, None)
    assert predictor.sizes == [1]


def test_stages_are_timed() -> None:
    app, predictor = held()
    predictor.let.set()
    response = app.test_client().post("/predict", data=encode(noise()), content_type="image/png")
    stages = dict(re.findall(r"(\w+);dur=([\d.]+)", response.headers["Server-Timing"]))
    assert list(stages) == ["parse", "decode", "queue", "infer"]
    assert float(stages["decode"]) > 0
