"""What every route needs: the predictor, the limits on a picture, and whether it is ready."""

from typing import Protocol

import numpy as np
from flask import current_app

from api.errors import NotReadyProblem
from model.checkpoint import Checkpoint
from model.images import ImageLimits, Picture, decode
from model.predictor import Verdict
from model.preprocess import Preprocess

KEY = "cifake"


class PredictorLike(Protocol):
    """What the service asks of a predictor; a test may hand it another than the real one."""

    checkpoint: Checkpoint
    preprocess: Preprocess

    def predict(self, pictures: list[np.ndarray]) -> np.ndarray: ...

    def verdict(self, prediction: float) -> Verdict: ...


class Service:
    """Holds the predictor for the lifetime of the application."""

    def __init__(self, predictor: PredictorLike, limits: ImageLimits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.ready = False

    def warm_up(self) -> None:
        """Put one picture through the model; the first call is the slow one."""
        size = self.predictor.preprocess.size
        self.predictor.predict([np.zeros((size, size, 3), np.uint8)])
        self.ready = True

    def picture(self, data: bytes) -> Picture:
        """A file's picture, its pixels brought to the network's size. Raises ImageError."""
        return decode(data, self.limits, shrink=self.predictor.preprocess.resize)

    def predict(self, pictures: list[np.ndarray]) -> list[float]:
        """P(REAL) for pictures at the network's size, rounded to the digits that answers show."""
        if not self.ready:
            raise NotReadyProblem("the model is being loaded; ask again in a few seconds")
        return [round(float(p), 6) for p in self.predictor.predict(pictures)]


def current_service() -> Service:
    """The service of the application that handles this request."""
    service = current_app.extensions[KEY]
    assert isinstance(service, Service)
    return service
