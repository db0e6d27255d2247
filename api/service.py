"""What every route needs: the predictor and its queue, the limits on a picture, and what may go on at
once."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from flask import current_app, g

from api.batching import Answers, Batcher, DeadlineError, QueueFullError
from api.errors import BusyProblem, LateProblem, NotReadyProblem
from api.settings import Settings
from model.engines.engine import EngineInfo
from model.images.decode import ImageLimits, Picture, decode
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.predictor import Decision, Prediction

KEY = "cifake"
PROBE_SECONDS = 0.5


class PredictorLike(Protocol):
    """What the service asks of a predictor; a test may hand it another than the real one."""

    metadata: CheckpointMetadata
    preprocess: Preprocess

    @property
    def info(self) -> EngineInfo: ...

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction: ...

    def decide(self, prediction: float, abstain: float = 0.0) -> Decision: ...

    def explain(self, pictures: list[np.ndarray], *, predictions: np.ndarray | None = None) -> np.ndarray: ...


class Answer(NamedTuple):
    """prediction: P(REAL) in [0, 1], rounded to the digits that answers show. in_domain: None if unknown."""

    prediction: float
    in_domain: bool | None


class Service:
    """Holds the predictor for the lifetime of the application."""

    def __init__(self, predictor: PredictorLike, settings: Settings) -> None:
        self.predictor = predictor
        self.settings = settings
        self.limits = ImageLimits(settings.max_image_pixels)
        self.batcher: Batcher[np.ndarray, Answer] = Batcher(
            self._compute, settings.batch_size, settings.queue_size
        )
        self._batches = threading.BoundedSemaphore(settings.batches)
        self._explaining = threading.Lock()

    def warm_up(self) -> None:
        """Put pictures through the model, one and a batch; the first calls are the slow ones."""
        for count, use_all_cores in product((1, self.batcher.size), (True, False)):
            self.predictor.predict([self._blank()] * count, use_all_cores)

    def probe(self) -> None:
        """Put a picture through the queue and the model. Raises NotReadyProblem if it is not answered
        soon."""
        try:
            self.batcher.submit([self._blank()], PROBE_SECONDS)
        except (DeadlineError, QueueFullError) as error:
            raise NotReadyProblem(f"the model did not answer within {PROBE_SECONDS} s") from error

    def picture(self, data: bytes, deadline: float, patient: bool = False) -> Picture:
        """A file's picture, its pixels brought to the network's size; see model.images.decode for errors."""
        return decode(data, self.limits, self.predictor.preprocess.resize, deadline, patient)

    def predict(self, pictures: list[np.ndarray], deadline: float = math.inf) -> Answers[Answer]:
        """What the model makes of a batch of pictures at its size, together with others that are asked for.

        deadline: when it is of no use any more, by time.monotonic(). Raises Problem: 429 or 504.
        """
        try:
            return self.batcher.submit(pictures, deadline - time.monotonic())
        except QueueFullError as error:
            raise BusyProblem("more pictures wait than there is room for; ask again in a second") from error
        except DeadlineError as error:
            raise LateProblem("the answer did not come in time; the server is busy") from error

    def explain(self, picture: np.ndarray, prediction: float, deadline: float) -> np.ndarray:
        """The heat map of one picture, float (size, size) in [0, 1], for the label that was answered.

        One at a time: the first of a process takes seconds. Raises LateProblem past the deadline.
        """
        if not self._explaining.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise LateProblem("the heat map did not come in time; the server is busy")
        try:
            [heat] = self.predictor.explain([picture], predictions=np.array([prediction]))
        finally:
            self._explaining.release()
        return heat

    @contextmanager
    def batch(self) -> Iterator[None]:
        """A batch is worked on. Raises BusyProblem where as many are as may be."""
        if not self._batches.acquire(blocking=False):
            raise BusyProblem(f"{self.settings.batches} batches are being worked on; ask again later")
        try:
            yield
        finally:
            self._batches.release()

    def deadline(self) -> float:
        """When this request's picture must be answered, by time.monotonic()."""
        begun: float = g.begun
        return begun + self.settings.deadline_seconds

    def _blank(self) -> np.ndarray:
        size = self.predictor.preprocess.size
        return np.zeros((size, size, 3), np.uint8)

    def _compute(self, pictures: list[np.ndarray], use_all_cores: bool) -> list[Answer]:
        predicted = self.predictor.predict(pictures, use_all_cores)
        known = [None] * len(pictures) if predicted.in_domain is None else predicted.in_domain.tolist()
        return list(map(Answer, predicted.predictions.round(6).tolist(), known))


def current_service() -> Service:
    """The service of the application that handles this request."""
    service = current_app.extensions[KEY]
    assert isinstance(service, Service)
    return service
