"""What every route needs: the predictor, the limits on a picture, and whether it is ready."""

from typing import Protocol

import numpy as np
from flask import Flask, current_app

from api.errors import NotReadyProblem
from model.checkpoint import Checkpoint
from model.images import ImageLimits, decode
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

    def picture(self, data: bytes) -> tuple[np.ndarray, tuple[int, int]]:
        """A file's picture at the network's size, and the (width, height) that it came with."""
        pixels = decode(data, self.limits)
        height, width = pixels.shape[:2]
        # Resized at once: a batch then holds thousands of small pictures and never a large one.
        return self.predictor.preprocess.resize(pixels), (width, height)

    def predict(self, pictures: list[np.ndarray]) -> list[float]:
        """P(REAL) for pictures at the network's size, rounded to the digits that answers show."""
        if not self.ready:
            raise NotReadyProblem("the model is being loaded; ask again in a few seconds")
        return [round(float(p), 6) for p in self.predictor.predict(pictures)]

    @staticmethod
    def of(app: Flask) -> "Service":
        service = app.extensions[KEY]
        assert isinstance(service, Service)
        return service


def current_service() -> Service:
    """The service of the application that handles this request."""
    return Service.of(current_app)
