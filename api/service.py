"""What every route needs: the predictor, the limits on a picture, and whether it is ready."""

from dataclasses import replace
from typing import Protocol

import numpy as np
from flask import current_app

from api.errors import NotReadyProblem
from model.checkpoint import Checkpoint
from model.images import ImageLimits, Picture, decode
from model.predictor import Reading, Verdict
from model.preprocess import Preprocess

KEY = "cifake"


class PredictorLike(Protocol):
    """What the service asks of a predictor; a test may hand it another than the real one."""

    checkpoint: Checkpoint
    preprocess: Preprocess

    def read(self, pictures: list[np.ndarray]) -> Reading: ...

    def verdict(self, prediction: float, abstain: float = 0.0) -> Verdict: ...

    def explain(self, pictures: list[np.ndarray]) -> np.ndarray: ...


class Service:
    """Holds the predictor for the lifetime of the application."""

    def __init__(self, predictor: PredictorLike, limits: ImageLimits) -> None:
        self.predictor = predictor
        self.limits = limits
        self.ready = False

    def warm_up(self) -> None:
        """Put one picture through the model; the first call is the slow one."""
        size = self.predictor.preprocess.size
        self.predictor.read([np.zeros((size, size, 3), np.uint8)])
        self.ready = True

    def picture(self, data: bytes) -> Picture:
        """A file's picture, its pixels brought to the network's size. Raises ImageError."""
        return decode(data, self.limits, shrink=self.predictor.preprocess.resize)

    def read(self, pictures: list[np.ndarray]) -> Reading:
        """What the model makes of pictures at its size, P(REAL) rounded to the digits that answers show."""
        if not self.ready:
            raise NotReadyProblem("the model is being loaded; ask again in a few seconds")
        reading = self.predictor.read(pictures)
        return replace(reading, predictions=reading.predictions.round(6))


def current_service() -> Service:
    """The service of the application that handles this request."""
    service = current_app.extensions[KEY]
    assert isinstance(service, Service)
    return service
