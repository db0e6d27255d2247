import os
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient

from api.app import create_app
from api.service import PredictorLike
from api.settings import load_settings
from model import SHIPPED
from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.engines.engine import EngineInfo
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.predictor import Decision, Prediction, Predictor
from tests.networks import random_weights


class MeanPredictor:
    """Stands in for the network: P(REAL) is the mean brightness, so that a test knows the answer.

    Pictures without a bright pixel are out of its domain; it looks at the top left corner.
    """

    metadata = CheckpointMetadata(Architecture(), Preprocess())
    info = EngineInfo("a stand-in", "f32", "cpu")
    preprocess = Preprocess()

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        means = [picture.mean() / 255 for picture in pictures]
        return Prediction(np.array(means), np.array([picture.max() > 25 for picture in pictures], bool))

    def decide(self, prediction: float, abstain: float = 0.0) -> Decision:
        likelier = Decision("REAL", prediction) if prediction >= 0.5 else Decision("FAKE", 1 - prediction)
        return likelier if likelier.confidence >= abstain else Decision("UNCERTAIN", likelier.confidence)

    def explain(self, pictures: list[np.ndarray], *, predictions: np.ndarray | None = None) -> np.ndarray:
        heat = np.zeros((len(pictures), 32, 32), np.float32)
        heat[:, 0, 0] = 1
        return heat


def served(predictor: PredictorLike | None = None, **settings: object) -> Flask:
    """The application with these settings, and a predictor that needs no model."""
    app = create_app(load_settings(**settings), predictor or MeanPredictor())
    app.testing = True
    return app


@pytest.fixture
def outputs(tmp_path: Path) -> Path:
    return tmp_path / "outputs"


@pytest.fixture
def app(outputs: Path) -> Flask:
    return served(
        output_dir=str(outputs),
        max_image_bytes=200_000,
        max_image_pixels=250_000,
        max_batch_bytes=2_000_000,
        max_batch_files=300,
        max_batch_pixels=1_000_000,
        max_unpacked_bytes=5_000_000,
    )


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    return app.test_client()


@pytest.fixture(scope="session")
def shipped() -> Predictor:
    return Predictor.load(device="cpu")


@pytest.fixture
def random_checkpoint() -> Checkpoint:
    """A checkpoint whose weights nobody trained."""
    architecture = Architecture("small-pool", "linear")
    return Checkpoint(CheckpointMetadata(architecture, Preprocess()), random_weights(architecture))


@pytest.fixture
def other_checkpoint(tmp_path: Path) -> Path:
    """A file like the shipped one, whose recipe has another name. Made without PyTorch."""
    path = tmp_path / "other.pth"
    with ZipFile(SHIPPED) as shipped, ZipFile(path, "w", ZIP_STORED) as other:
        for name in shipped.namelist():
            content = shipped.read(name)
            # A string of a pickle of protocol 2 is preceded by its length.
            other.writestr(name, content.replace(b"\6\0\0\0cifake", b"\6\0\0\0others"))
    return path


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder that real data was unpacked to; without it the tests that need it are skipped."""
    folder = os.environ.get("CIFAKE_DATA")
    if not folder:
        pytest.skip("CIFAKE_DATA does not say where the real data is")
    return Path(folder)
