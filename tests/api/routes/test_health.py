import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from flask.testing import FlaskClient

from api.app import create_starting_app
from model.predictor import Prediction, Predictor
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise


def test_livez(client: FlaskClient) -> None:
    assert client.get("/livez").json == {"status": "alive"}


def test_readyz_and_the_starting_app(client: FlaskClient) -> None:
    assert client.get("/readyz").json == {"status": "ready"}
    starting = create_starting_app().test_client()
    assert starting.get("/livez").status_code == 200
    for response in (starting.get("/readyz"), starting.post("/predict"), starting.get("/model")):
        assert response.status_code == 503
        assert response.mimetype == "application/problem+json"
        assert response.headers["Retry-After"]


def test_readyz_is_503_while_the_model_is_stuck(monkeypatch: pytest.MonkeyPatch) -> None:
    class Stuck(MeanPredictor):
        warm = False
        unblocked = threading.Event()

        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            if self.warm:
                assert self.unblocked.wait(20)
            return super().predict(pictures)

    monkeypatch.setattr("api.service.READINESS_TIMEOUT", 0.05)
    predictor = Stuck()
    app = served(predictor)
    assert app.test_client().get("/readyz").status_code == 200
    predictor.warm = True
    with ThreadPoolExecutor(1) as pool:
        picture = pool.submit(app.test_client().post, "/predict", data=encode(noise()))
        deadline = time.monotonic() + 10
        while not app.extensions["cifake"].batcher._busy:
            assert time.monotonic() < deadline
        assert app.test_client().get("/readyz").status_code == 503
        assert app.test_client().get("/livez").status_code == 200
        predictor.unblocked.set()
        assert picture.result(10).status_code == 200
    assert app.test_client().get("/readyz").status_code == 200


def test_model_describes_the_checkpoint(shipped: Predictor) -> None:
    answer = served(shipped).test_client().get("/model").json
    assert answer["digest"] == shipped.metadata.digest
    assert answer["engine"] == {"framework": "OpenVINO", "precision": "f32", "device": "cpu"}
    assert answer["recipe"]["name"] == "cifake"
    assert answer["labels"] == {"1": "REAL", "0": "FAKE"}
    assert answer["label_1_in_training_data"] == "REAL"
    assert answer["label_1_assumed"] is False
    assert answer["metrics"]["validation"]["accuracy_interval"][0] > 0.9
    assert answer["preprocess"]["size"] == 32
    assert answer["architecture"]["backbone"] == "resnet18"


def test_label_1_of_a_bare_state_dict_is_assumed(client: FlaskClient) -> None:
    """The stand-in says nothing of its training data, as such files do."""
    answer = client.get("/model").json
    assert (answer["label_1_in_training_data"], answer["label_1_assumed"]) == ("REAL", True)
