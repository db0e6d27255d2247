from flask.testing import FlaskClient

from api.app import create_app
from model.predictor import Predictor


def test_alive(client: FlaskClient) -> None:
    assert client.get("/livez").json == {"status": "alive"}


def test_ready_only_after_a_picture_went_through(client: FlaskClient) -> None:
    assert client.get("/readyz").status_code == 200
    client.application.extensions["cifake"].ready = False
    response = client.get("/readyz")
    assert response.status_code == 503
    assert response.mimetype == "application/problem+json"


def test_model_tells_what_is_served(shipped: Predictor) -> None:
    answer = create_app({}, shipped).test_client().get("/model").json
    assert answer["digest"] == shipped.checkpoint.digest
    assert answer["recipe"]["name"] == "cifake"
    assert answer["labels"] == {"1": "REAL", "0": "FAKE"}
    assert answer["label_1_in_training_data"] == "REAL"
    assert answer["metrics"]["validation"]["accuracy_interval"][0] > 0.9
    assert answer["preprocess"]["size"] == 32
