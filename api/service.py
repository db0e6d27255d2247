"""The shared state of the routes: the predictor, its batching queue, and the limits on concurrent work."""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import groupby, product
from operator import attrgetter
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np
from flask import current_app, g, has_app_context, has_request_context, request
from PIL import Image

from api.batching import Batcher, BatchResult, DeadlineExceededError, QueueFullError
from api.errors import BusyProblem, DeadlineProblem, NotReadyProblem
from api.monitoring.metrics import BATCH, count_prediction, set_model
from api.server.environ import DRAINING
from api.settings import Settings
from model.engines.engine import EngineInfo
from model.images.decode import ImageLimits, decode
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError, CheckpointMetadata
from model.ood import domain
from model.predictor import Decision, Prediction, Predictor

log = logging.getLogger(__name__)

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


def load_predictor(settings: Settings) -> PredictorLike:
    """The predictor of the checkpoint in the settings.

    Raises CheckpointError, also for a digest that the settings do not ask for, or ValueError (device).
    """
    predictor = Predictor.load(settings.model, settings.device, settings.engine, settings.precision)
    digest, expected = predictor.metadata.digest, settings.model_sha256
    if expected != "any" and not digest.startswith(expected):
        raise CheckpointError(
            f"{settings.model} has the SHA-256 {digest}, and CIFAKE_MODEL_SHA256 asks for {expected}: "
            "correct that, or CIFAKE_MODEL"
        )
    return predictor


class PicturePrediction(NamedTuple):
    """prediction: P(REAL) in [0, 1], rounded to 6 digits. in_domain, out_of_domain_reason: see
    model.ood.domain."""

    prediction: float
    in_domain: bool | None
    out_of_domain_reason: Literal["size", "content"] | None


class InputPicture(NamedTuple):
    """pixels: uint8 of shape (size, size, 3) for the network. width, height: of the file's picture.
    resampled: see model.images.preprocess.FittedImage."""

    pixels: np.ndarray
    width: int
    height: int
    resampled: bool


class QueuedPicture(NamedTuple):
    """A picture for the network of the predictor."""

    predictor: PredictorLike
    picture: InputPicture


class Reload(NamedTuple):
    """Digests of the checkpoints that were served before and are served after it; they may be equal."""

    before: str
    after: str


class Service:
    """Holds the predictor, and what is shared by requests, for the lifetime of the application.

    signal_workers: tells all worker processes to reload; None where there is one process without a parent.
    """

    def __init__(self, predictor: PredictorLike, settings: Settings) -> None:
        self._newest = predictor
        self.settings = settings
        self.limits = ImageLimits(settings.max_image_pixels)
        self.batcher: Batcher[QueuedPicture, PicturePrediction] = Batcher(
            self._predict, settings.batch_size, settings.queue_size
        )
        self._batch_slots = threading.BoundedSemaphore(settings.batch_slots)
        self._explain_lock = threading.Lock()
        self.reload_lock = threading.Lock()
        self.signal_workers: Callable[[], None] | None = None
        self._stop_callbacks: list[Callable[[], None]] = []

    @property
    def predictor(self) -> PredictorLike:
        """The predictor of the current application context; outside one, the newest.

        A context keeps the one that was the newest when it first asked, so that a request, or a job in a
        context of its own, is answered by one checkpoint from beginning to end.
        """
        if not has_app_context():
            return self._newest
        predictor: PredictorLike = g.setdefault("predictor", self._newest)
        return predictor

    def warm_up(self) -> None:
        """Predict blank pictures in all modes, because the first calls of an engine are slow.

        Raises CheckpointError if the predictions are not numbers.
        """
        self._warm_up(self.predictor)

    def _warm_up(self, predictor: PredictorLike) -> None:
        for count, use_all_cores in product((1, self.batcher.max_batch_size), (True, False)):
            predicted = predictor.predict([_blank_picture(predictor).pixels] * count, use_all_cores)
            if not np.isfinite(predicted.predictions).all():
                raise CheckpointError("the checkpoint's prediction of a blank picture is not a number")

    def reload(self) -> Reload:
        """Load the checkpoint's file anew, warm it up, and serve it; nothing is done if it is served already.

        Raises the errors of `load_predictor` and `warm_up`; then the former checkpoint is still served.
        """
        with self.reload_lock:
            before = self._newest.metadata.digest
            path = Path(self.settings.model)
            if path.is_file() and _sha256(path) == before:
                return Reload(before, before)
            predictor = load_predictor(self.settings)
            self._warm_up(predictor)
            self._newest = predictor
            set_model(predictor.metadata.digest, predictor.info)
            return Reload(before, predictor.metadata.digest)

    def on_stop(self, callback: Callable[[], None]) -> None:
        """Register what is to be called, in a thread of its own, when the process begins to stop.

        Requests that run end meanwhile; both have CIFAKE_DRAIN_SECONDS. A killed process calls nothing.
        """
        self._stop_callbacks.append(callback)

    def stop(self) -> None:
        """Call what `on_stop` has registered, each once."""
        while self._stop_callbacks:
            try:
                self._stop_callbacks.pop()()
            except Exception:
                log.exception("a part of the service could not be stopped in order")

    def check_ready(self) -> None:
        """Predict a blank picture. Raises NotReadyProblem if that takes longer than READINESS_TIMEOUT.

        Also while the server drains: it is to get no more requests, though it still answers them.
        """
        if has_request_context() and DRAINING in request.environ:
            raise NotReadyProblem("the server is about to stop; ask another one")
        try:
            self.batcher.submit(self._queued([_blank_picture(self.predictor)]), READINESS_TIMEOUT)
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
        self, pictures: list[InputPicture], deadline: float = math.inf, background: bool = False
    ) -> BatchResult[PicturePrediction]:
        """Predict pictures, batched with those of concurrent requests, and count them in the metrics.

        deadline: by time.monotonic(). background: when nothing else is queued. Raises BusyProblem (429) or
        DeadlineProblem (504).
        """
        try:
            result = self.batcher.submit(self._queued(pictures), deadline - time.monotonic(), background)
        except QueueFullError as error:
            raise BusyProblem("too many pictures are queued; retry in a second") from error
        except DeadlineExceededError as error:
            raise DeadlineProblem("the answer did not come in time; the server is busy") from error
        for predicted in result.values:
            count_prediction(predicted.prediction, predicted.out_of_domain_reason)
        return result

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

    def _queued(self, pictures: list[InputPicture]) -> list[QueuedPicture]:
        predictor = self.predictor
        return [QueuedPicture(predictor, picture) for picture in pictures]

    def _predict(self, pictures: list[QueuedPicture], use_all_cores: bool) -> list[PicturePrediction]:
        results: list[PicturePrediction] = []
        # There is more than one predictor only while requests of before and after a reload are queued.
        for predictor, group in groupby(pictures, attrgetter("predictor")):
            some = [queued.picture for queued in group]
            BATCH.observe(len(some))
            predicted = predictor.predict([picture.pixels for picture in some], use_all_cores)
            by_content = [None] * len(some) if predicted.in_domain is None else predicted.in_domain.tolist()
            results += (
                PicturePrediction(prediction, *domain(like_training_data, picture.resampled))
                for prediction, like_training_data, picture in zip(
                    predicted.predictions.round(6).tolist(), by_content, some, strict=True
                )
            )
        return results


def _blank_picture(predictor: PredictorLike) -> InputPicture:
    size = predictor.preprocess.size
    return InputPicture(np.zeros((size, size, 3), np.uint8), size, size, False)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def current_service() -> Service:
    """The service of the current application."""
    service = current_app.extensions[EXTENSION]
    assert isinstance(service, Service)
    return service
