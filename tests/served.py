"""The application with a stand-in for the network. Importing it takes no PyTorch."""

import numpy as np
from flask import Flask

from api.app import create_app
from api.service import PredictorLike
from api.settings import load_settings
from model.architecture import Architecture
from model.engines.engine import EngineInfo
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.predictor import Decision, Prediction


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
