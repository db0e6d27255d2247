from pathlib import Path

import numpy as np
import pytest

from api.app import create_app
from api.settings import SettingsError
from model.checkpoint import Checkpoint
from model.manifest import CheckpointError
from model.predictor import Reading
from tests.conftest import MeanPredictor


def test_loads_the_checkpoint_that_the_settings_name(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "other.pth")
    app = create_app({"MODEL": str(tmp_path / "other.pth"), "DEVICE": "cpu", "ENGINE": "torch"})
    answer = app.test_client().get("/model").json
    assert answer["digest"] == Checkpoint.load(tmp_path / "other.pth").digest


def test_a_wrong_setting_stops_the_start(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        create_app({"MODEL": str(tmp_path / "nowhere.pth"), "CACHE_DIR": str(tmp_path)})
    with pytest.raises(SettingsError):
        create_app({"MAX_IMAGE_BYTES": 0})
    with pytest.raises(ValueError, match="abacus"):
        create_app({"DEVICE": "abacus"})


def test_the_model_is_warm_before_the_first_request() -> None:
    class Counting(MeanPredictor):
        calls = 0

        def read(self, pictures: list[np.ndarray]) -> Reading:
            self.calls += 1
            return super().read(pictures)

    predictor = Counting()
    app = create_app({}, predictor)
    assert predictor.calls == 2  # alone and in a batch
    assert app.test_client().get("/readyz").status_code == 200


def test_gunicorn_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_BIND", "0.0.0.0:9999")
    monkeypatch.setenv("CIFAKE_WORKERS", "2")
    monkeypatch.setenv("OMP_NUM_THREADS", "5")  # monkeypatch puts it back
    path = Path(__file__).parents[2] / "api" / "gunicorn.conf.py"
    values: dict[str, object] = {}
    exec(compile(path.read_text(), str(path), "exec"), values)
    assert (values["bind"], values["workers"]) == ("0.0.0.0:9999", 2)
    assert values["worker_class"] == "gthread"
    assert values["preload_app"] is False
