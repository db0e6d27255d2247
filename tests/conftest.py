import os
from pathlib import Path
from zipfile import ZIP_STORED, ZipFile

import pytest
from flask import Flask
from flask.testing import FlaskClient

from model import SHIPPED
from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.predictor import Predictor
from tests.networks import random_weights
from tests.served import MeanPredictor, served

__all__ = ["MeanPredictor", "served"]


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
