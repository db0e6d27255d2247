"""Batching, queueing and deadlines through the HTTP interface."""

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from flask import Flask

from api.server.environ import DRAINING
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError
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


class OppositePredictor(MeanPredictor):
    """Says the opposite, of pictures of another size, with another digest."""

    metadata = replace(MeanPredictor.metadata, preprocess=Preprocess(64), digest="2" * 64)
    preprocess = metadata.preprocess

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        assert {picture.shape for picture in pictures} == {(64, 64, 3)}
        predicted = super().predict(pictures)
        return Prediction(1 - predicted.predictions, predicted.in_domain)


def test_a_request_keeps_its_predictor_while_another_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    app, predictor = blocked_app()
    service = app.extensions["cifake"]
    monkeypatch.setattr("api.service.load_predictor", lambda _: OppositePredictor())

    def ask() -> dict:
        url = "/predict?explain=gradcam"
        return app.test_client().post(url, data=encode(noise()), content_type="image/png").json

    with ThreadPoolExecutor(6) as pool:
        before = [pool.submit(ask)]
        assert predictor.started.acquire(timeout=10)
        before += [pool.submit(ask) for _ in range(2)]
        wait_until_queued(app, 2)
        assert service.reload() == ("", "2" * 64)
        after = [pool.submit(ask) for _ in range(3)]
        wait_until_queued(app, 5)
        predictor.unblocked.set()
        old, new = ([future.result(10)["prediction"] for future in asked] for asked in (before, after))
    [expected] = MeanPredictor().predict([noise()]).predictions
    assert old == pytest.approx([expected] * 3, abs=1e-6)
    assert new == pytest.approx([1 - expected] * 3, abs=0.01)
    assert app.test_client().get("/model").json["digest"] == "2" * 64


def test_a_checkpoint_that_predicts_no_numbers_is_not_served(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Broken(MeanPredictor):
        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            return Prediction(np.full(len(pictures), np.nan), None)

    service = served().extensions["cifake"]
    before = service.predictor
    monkeypatch.setattr("api.service.load_predictor", lambda _: Broken())
    with pytest.raises(CheckpointError, match="is not a number"):
        service.reload()
    assert service.predictor is before
    with pytest.raises(CheckpointError, match="is not a number"):
        served(Broken())


def test_stop_calls_each_callback_once_and_all_of_them(caplog: pytest.LogCaptureFixture) -> None:
    service = served().extensions["cifake"]
    called: list[str] = []
    service.on_stop(lambda: called.append("first"))
    service.on_stop(lambda: called.append("second") or 1 / 0)
    service.stop()
    service.stop()
    assert sorted(called) == ["first", "second"]
    assert "ZeroDivisionError" in caplog.text


def test_a_draining_server_is_not_ready_but_answers() -> None:
    client = served().test_client()
    draining = {DRAINING: True}
    assert client.get("/readyz", environ_overrides=draining).status_code == 503
    assert client.get("/livez", environ_overrides=draining).status_code == 200
    picture = {"data": encode(noise()), "content_type": "image/png"}
    assert client.post("/predict", environ_overrides=draining, **picture).status_code == 200
    assert client.get("/readyz").status_code == 200
