import math
import os
import runpy
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask import request, url_for

from api.app import create_app
from api.server.worker import Worker
from api.service import load_predictor
from api.settings import load_settings
from model import ROOT
from model.checkpoint import Checkpoint
from model.metadata import CheckpointError
from model.predictor import Prediction
from tests.conftest import MeanPredictor, served


def test_loads_the_checkpoint_that_the_settings_name(other_checkpoint: Path) -> None:
    app = create_app(load_settings(model=str(other_checkpoint), device="cpu"))
    answer = app.test_client().get("/model").json
    assert answer["recipe"]["name"] == "others"
    assert answer["digest"] == Checkpoint.load(other_checkpoint).metadata.digest


def test_an_invalid_setting_raises(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        create_app(load_settings(model=str(tmp_path / "nowhere.pth")))
    with pytest.raises(ValueError, match="abacus"):
        create_app(load_settings(device="abacus"))


def test_another_checkpoint_than_the_expected_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    predictor = MeanPredictor()
    predictor.metadata = replace(predictor.metadata, digest="0123456789ab" + 52 * "c")
    monkeypatch.setattr("api.service.Predictor.load", lambda *_: predictor)
    for expected in ("any", predictor.metadata.digest, "0123456789AB"):
        assert load_predictor(load_settings(model_sha256=expected)) is predictor
    with pytest.raises(CheckpointError, match="has the SHA-256 0123456789abc+, and CIFAKE_MODEL_SHA256 asks"):
        load_predictor(load_settings(model_sha256="0123456789abd"))


FORWARDED = {
    "X-Forwarded-For": "203.0.113.1, 203.0.113.2",
    "X-Forwarded-Proto": "http, https",
    "X-Forwarded-Host": "spoofed.example, detector.example",
    "X-Forwarded-Prefix": "/spoofed, /detector",
}


@pytest.mark.parametrize(
    ("proxies", "address", "url"),
    [
        (0, "127.0.0.1", "http://localhost/livez"),
        (1, "203.0.113.2", "https://detector.example/detector/livez"),
        (2, "203.0.113.1", "http://spoofed.example/spoofed/livez"),
        (3, "127.0.0.1", "http://localhost/livez"),  # there were not so many proxies
    ],
)
def test_trusted_proxies(proxies: int, address: str, url: str) -> None:
    app = served(trusted_proxies=proxies)
    with app.test_client() as client:
        client.get("/livez", headers=FORWARDED)
        assert request.remote_addr == address
        assert url_for("health.livez", _external=True) == url


def test_the_model_is_warm_before_the_first_request() -> None:
    class Counting(MeanPredictor):
        def __init__(self) -> None:
            self.seen: list[tuple[int, bool]] = []

        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            self.seen.append((len(pictures), use_all_cores))
            return super().predict(pictures)

    predictor = Counting()
    app = served(predictor)
    assert predictor.seen == [(1, True), (1, False), (32, True), (32, False)]
    assert app.test_client().get("/readyz").status_code == 200


def gunicorn_configuration() -> dict[str, object]:
    return runpy.run_path(str(ROOT / "api" / "gunicorn.conf.py"))


def test_gunicorn_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_BIND", "0.0.0.0:9999,[::1]:9999")
    monkeypatch.setenv("CIFAKE_WORKERS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # monkeypatch restores it
    values = gunicorn_configuration()
    assert (values["bind"], values["workers"]) == (["0.0.0.0:9999", "[::1]:9999"], 2)
    assert values["worker_class"] is Worker
    assert values["preload_app"] is False


@pytest.mark.parametrize(
    ("device", "workers", "memory", "processes", "threads"),
    [
        ("cpu", "0", math.inf, 4, "1"),
        ("cpu", "0", 3 << 30, 4, "1"),
        ("cpu", "0", 1200 << 20, 2, "2"),
        ("cpu", "0", 512 << 20, 1, "4"),
        ("cpu", "0", 100 << 20, 1, "4"),
        ("cpu", "2", 512 << 20, 2, "2"),
        ("cpu", "8", math.inf, 8, "1"),
        ("cuda", "0", math.inf, 1, "4"),
    ],
)
def test_gunicorn_divides_the_cores_among_workers(
    device: str,
    workers: str,
    memory: float,
    processes: int,
    threads: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("model.engines.cpus.available_cpus", lambda: 4)
    monkeypatch.setattr("model.engines.cpus.memory_limit", lambda: memory)
    monkeypatch.setenv("CIFAKE_DEVICE", device)
    monkeypatch.setenv("CIFAKE_WORKERS", workers)
    monkeypatch.setenv("OMP_NUM_THREADS", "")  # monkeypatch restores it
    monkeypatch.delenv("OMP_NUM_THREADS")
    assert gunicorn_configuration()["workers"] == processes
    assert os.environ["OMP_NUM_THREADS"] == threads


def test_gunicorn_reads_its_configuration_before_numpy_is_imported() -> None:
    # NumPy creates its threads at import, by OMP_NUM_THREADS at that time.
    program = "import sys, runpy; runpy.run_path('api/gunicorn.conf.py'); assert 'numpy' not in sys.modules"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
