"""What every route needs: the predictor and its queue, the limits on a picture, and whether it is ready."""

import time
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from flask import current_app, g

from api.errors import BusyProblem, LateProblem, NotReadyProblem
from model.batcher import Answers, Batcher, DeadlineError, QueueFullError
from model.images import ImageLimits, Picture, decode
from model.manifest import Manifest
from model.predictor import Reading, Verdict
from model.preprocess import Preprocess

KEY = "cifake"


class PredictorLike(Protocol):
    """What the service asks of a predictor; a test may hand it another than the real one."""

    checkpoint: Manifest
    preprocess: Preprocess

    def read(self, pictures: list[np.ndarray], alone: bool = True) -> Reading: ...

    def verdict(self, prediction: float, abstain: float = 0.0) -> Verdict: ...

    def explain(self, pictures: list[np.ndarray]) -> np.ndarray: ...


class Answer(NamedTuple):
    """prediction: P(REAL) in [0, 1], rounded to the digits that answers show. in_domain: None if unknown."""

    prediction: float
    in_domain: bool | None


class Service:
    """Holds the predictor for the lifetime of the application.

    batch_size, queue_size: see `model.batcher`. seconds: within which a picture's answer must come.
    """

    def __init__(
        self,
        predictor: PredictorLike,
        limits: ImageLimits,
        batch_size: int,
        queue_size: int,
        seconds: float,
    ) -> None:
        self.predictor = predictor
        self.limits = limits
        self.seconds = seconds
        self.batcher: Batcher[np.ndarray, Answer] = Batcher(self._compute, batch_size, queue_size)
        self.ready = False

    def warm_up(self) -> None:
        """Put pictures through the model, one and a batch; the first calls are the slow ones."""
        size = self.predictor.preprocess.size
        for count, alone in product((1, self.batcher.size), (True, False)):
            self.predictor.read([np.zeros((size, size, 3), np.uint8)] * count, alone)
        self.ready = True

    def picture(self, data: bytes) -> Picture:
        """A file's picture, its pixels brought to the network's size. Raises ImageError."""
        return decode(data, self.limits, shrink=self.predictor.preprocess.resize)

    def read(self, pictures: list[np.ndarray], within: float = float("inf")) -> Answers[Answer]:
        """What the model makes of a batch of pictures at its size, together with others that are asked for.

        within: seconds until it is of no use. Raises Problem: 429, 503 or 504.
        """
        if not self.ready:
            raise NotReadyProblem("the model is being loaded; ask again in a few seconds")
        try:
            return self.batcher.ask(pictures, within)
        except QueueFullError as error:
            raise BusyProblem("more pictures wait than there is room for; ask again in a second") from error
        except DeadlineError as error:
            raise LateProblem("the answer did not come in time; the server is busy") from error

    def left(self) -> float:
        """Seconds that this request still has."""
        return self.seconds - (time.monotonic() - g.begun)

    def _compute(self, pictures: list[np.ndarray], alone: bool) -> list[Answer]:
        reading = self.predictor.read(pictures, alone)
        known = [None] * len(pictures) if reading.in_domain is None else reading.in_domain.tolist()
        return list(map(Answer, reading.predictions.round(6).tolist(), known))


def current_service() -> Service:
    """The service of the application that handles this request."""
    service = current_app.extensions[KEY]
    assert isinstance(service, Service)
    return service
