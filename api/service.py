"""The shared state of the routes: the predictor, its batching queue, and the limits on concurrent work."""

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import product
from typing import NamedTuple, Protocol

import numpy as np
from flask import current_app, g
from PIL import Image

from api.batching import Batcher, BatchResult, DeadlineExceededError, QueueFullError
from api.errors import BusyProblem, DeadlineProblem, NotReadyProblem
from api.settings import Settings
from model.engines.engine import EngineInfo
from model.images.decode import ImageLimits, decode
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.ood import domain
from model.predictor import Decision, Prediction

EXTENSION = "cifake"  # the key in Flask's `app.extensions`
READINESS_TIMEOUT = 0.5


class PredictorLike(Protocol):
    """The interface of model.predictor.Predictor that the service uses; tests replace it by a stub."""

    metadata: CheckpointMetadata
    preprocess: Preprocess

    @property
    def info(self) -> EngineInfo: ...

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction: ...

    def decide(self, prediction: float, abstain: float = 0.0) -> Decision: ...

    def explain(self, pictures: list[np.ndarray], *, predictions: np.ndarray | None = None) -> np.ndarray: ...


class PicturePrediction(NamedTuple):
    """prediction: P(REAL) in [0, 1], rounded to 6 digits. in_domain: None if the model cannot tell."""

    prediction: float
    in_domain: bool | None


class InputPicture(NamedTuple):
    """pixels: uint8 of shape (size, size, 3) for the network. width, height: of the file's picture.
    resampled: see model.images.preprocess.FittedImage."""

    pixels: np.ndarray
    width: int
    height: int
    resampled: bool

    def domain(self, result: PicturePrediction) -> tuple[bool | None, str | None]:
        """Whether the picture is in the model's domain, and why it is not: see `model.ood.domain`."""
        return domain(result.in_domain, self.resampled)


class Service:
    """Holds the predictor for the lifetime of the application."""

    def __init__(self, predictor: PredictorLike, settings: Settings) -> None:
        self.predictor = predictor
        self.settings = settings
        self.limits = ImageLimits(settings.max_image_pixels)
        self.batcher: Batcher[np.ndarray, PicturePrediction] = Batcher(
            self._predict, settings.batch_size, settings.queue_size
        )
        self._batch_slots = threading.BoundedSemaphore(settings.batch_slots)
        self._explain_lock = threading.Lock()

    def warm_up(self) -> None:
        """Predict blank pictures in all modes, because the first calls of an engine are slow."""
        for count, use_all_cores in product((1, self.batcher.max_batch_size), (True, False)):
            self.predictor.predict([self._blank_picture()] * count, use_all_cores)

    def check_ready(self) -> None:
        """Predict a blank picture. Raises NotReadyProblem if that takes longer than READINESS_TIMEOUT."""
        try:
            self.batcher.submit([self._blank_picture()], READINESS_TIMEOUT)
        except (DeadlineExceededError, QueueFullError) as error:
            raise NotReadyProblem(f"the model did not answer within {READINESS_TIMEOUT} s") from error

    def decode_picture(self, data: bytes, deadline: float, always_wait: bool = False) -> InputPicture:
        """Decode a file and resize it for the network. Arguments and errors: model.images.decode."""
        resampled = False

        def fit(image: Image.Image) -> np.ndarray:
            nonlocal resampled
            pixels, resampled = self.predictor.preprocess.fit(image)
            return pixels

        image = decode(data, self.limits, fit, deadline, always_wait, self.predictor.preprocess.min_side)
        return InputPicture(image.pixels, image.width, image.height, resampled)

    def predict(
        self, pictures: list[np.ndarray], deadline: float = math.inf
    ) -> BatchResult[PicturePrediction]:
        """Predict pictures of the network's size, batched with those of concurrent requests.

        deadline: by time.monotonic(). Raises BusyProblem (429) or DeadlineProblem (504).
        """
        try:
            return self.batcher.submit(pictures, deadline - time.monotonic())
        except QueueFullError as error:
            raise BusyProblem("too many pictures are queued; retry in a second") from error
        except DeadlineExceededError as error:
            raise DeadlineProblem("the answer did not come in time; the server is busy") from error

    def explain(self, picture: np.ndarray, prediction: float, deadline: float) -> np.ndarray:
        """The heat map of one picture for its predicted label, float (size, size) in [0, 1].

        One at a time: the first of a process takes seconds. Raises DeadlineProblem.
        """
        if not self._explain_lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
            raise DeadlineProblem("the heat map did not come in time; the server is busy")
        try:
            [heat] = self.predictor.explain([picture], predictions=np.array([prediction]))
        finally:
            self._explain_lock.release()
        return heat

    @contextmanager
    def batch_slot(self) -> Iterator[None]:
        """Hold one of the slots for concurrent batches. Raises BusyProblem if all are taken."""
        if not self._batch_slots.acquire(blocking=False):
            raise BusyProblem(f"{self.settings.batch_slots} batches are being worked on; retry later")
        try:
            yield
        finally:
            self._batch_slots.release()

    def deadline(self) -> float:
        """The deadline of the current request for a single picture, by time.monotonic()."""
        started_at: float = g.started_at
        return started_at + self.settings.deadline_seconds

    def _blank_picture(self) -> np.ndarray:
        size = self.predictor.preprocess.size
        return np.zeros((size, size, 3), np.uint8)

    def _predict(self, pictures: list[np.ndarray], use_all_cores: bool) -> list[PicturePrediction]:
        predicted = self.predictor.predict(pictures, use_all_cores)
        in_domain = [None] * len(pictures) if predicted.in_domain is None else predicted.in_domain.tolist()
        return list(map(PicturePrediction, predicted.predictions.round(6).tolist(), in_domain))


def current_service() -> Service:
    """The service of the current application."""
    service = current_app.extensions[EXTENSION]
    assert isinstance(service, Service)
    return service
