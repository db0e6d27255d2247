"""Classifies the files of an upload in their order."""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from api.archives.members import check_time
from api.batches.checks import add_image_id, check_pixels
from api.batches.options import BatchLimits, BatchOptions
from api.service import InputPicture, Service
from model.images.errors import DecodeTimeoutError, ImageError, ImageTooLargeError

MAX_UNREADABLE = 256  # files of a list of results, besides the pictures of one batch of the model


class FileResult(NamedTuple):
    """What became of one file: a prediction or an error.

    path: without surrogates, separated by `/`. prediction: P(REAL) in [0, 1], rounded to six digits.
    out_of_domain: `size` or `content`, see model.ood.domain. error: why it could not be read as a picture.
    """

    path: str
    prediction: float | None = None
    out_of_domain: str | None = None
    error: str | None = None


class Classifier:
    """Classifies files; may be continued with the results that an earlier one had.

    pixels: of all pictures so far. background: give way to requests for single pictures. picture_seconds:
    time to decode one picture, longer ones count as unreadable. list_size: asked for the most pictures of the
    next list that is predicted together.
    """

    def __init__(
        self,
        service: Service,
        options: BatchOptions,
        limits: BatchLimits,
        earlier: Iterable[FileResult] = (),
        pixels: int = 0,
        *,
        background: bool = False,
        picture_seconds: float = math.inf,
        list_size: Callable[[], int] | None = None,
    ) -> None:
        self._service, self._options, self._limits = service, options, limits
        self.pixels = pixels
        self._background, self._picture_seconds = background, picture_seconds
        self._list_size = list_size or (lambda: service.batcher.max_batch_size)
        self._image_ids: set[str] = set()
        for result in earlier:
            if result.error is None:
                add_image_id(self._image_ids, result.path, options)

    def results(
        self, files: Iterable[tuple[str, bytes]], deadline: float = math.inf
    ) -> Iterator[list[FileResult]]:
        """Results in the order of the files, as lists of one batch of the model each.

        deadline: by time.monotonic(). Raises TimeoutError, DecodeTimeoutError or DeadlineProblem past it, and
        the Problems of `checks` for what the files' headers did not tell.
        """
        results: list[FileResult] = []
        pictures: dict[int, InputPicture] = {}  # by their places in `results`
        size = self._list_size()
        for path, data in files:
            check_time(deadline)
            try:
                picture = self._decode(data, deadline)
            except ImageError as error:
                results.append(FileResult(path, error=str(error)))
            else:
                self.pixels += picture.width * picture.height
                check_pixels(self.pixels, self._limits)
                add_image_id(self._image_ids, path, self._options)
                pictures[len(results)] = picture
                results.append(FileResult(path))
            if len(pictures) >= size or len(results) - len(pictures) == MAX_UNREADABLE:
                yield self._predicted(results, pictures, deadline)
                results, pictures, size = [], {}, self._list_size()
        if results:
            yield self._predicted(results, pictures, deadline)

    def _decode(self, data: bytes, deadline: float) -> InputPicture:
        if len(data) > self._limits.image_bytes:
            raise ImageTooLargeError(
                f"a picture may have {self._limits.image_bytes} bytes at most; send a smaller one"
            )
        own_deadline = time.monotonic() + self._picture_seconds
        try:
            return self._service.decode_picture(data, min(deadline, own_deadline), always_wait=True)
        except DecodeTimeoutError as error:
            if deadline <= own_deadline:
                raise
            raise ImageTooLargeError(f"it could not be decoded in {self._picture_seconds:.0f} s") from error

    def _predicted(
        self, results: list[FileResult], pictures: dict[int, InputPicture], deadline: float
    ) -> list[FileResult]:
        if pictures:
            predicted = self._service.predict(
                list(pictures.values()), deadline, background=self._background
            ).values
            for place, (prediction, _, reason) in zip(pictures, predicted, strict=True):
                results[place] = results[place]._replace(prediction=prediction, out_of_domain=reason)
        return results
