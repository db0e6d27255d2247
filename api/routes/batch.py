"""`POST /batch`: many pictures, the hackathon's JSON as a file and as the answer."""

import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import numpy as np
from flask import Blueprint, Response, g, request
from werkzeug.datastructures import FileStorage

from api.archives import ArchiveLimits, open_archive
from api.errors import BadRequestProblem, BrokenProblem, LateProblem, Problem, TooLargeProblem
from api.service import Service, current_service
from api.settings import Settings
from api.uploads import bound_upload, client_gone
from model import predictions
from model.files import check_writable
from model.images.decode import ImageError
from model.images.headers import declared_pixels
from model.metadata import Label
from model.predictions import unreadable_rows

blueprint = Blueprint("batch", __name__)

MAX_LISTED = 20
HEAD = 1 << 16  # bytes of a file that tell how many pixels it has


class Files(Protocol):
    """The files of an upload, which can be gone through more than once."""

    def members(self, most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of each; with `most` only its first bytes."""
        ...


class ClientGoneProblem(Problem):
    """Nobody waits for the answer any more."""

    status, slug = 499, "client-gone"  # type: ignore[assignment]


@blueprint.post("/batch")
def batch() -> Response:
    """Predictions for all pictures of the upload, in natural order of their names."""
    service = current_service()
    settings = service.settings
    team = _team()
    _check_output(settings)
    with service.batch():
        begun: float = g.begun
        bound_upload(settings.max_batch_bytes, begun + settings.upload_seconds)
        request.max_form_parts = settings.max_batch_files + 2  # and `positive`
        positive = _positive()
        deadline = time.monotonic() + settings.max_batch_seconds
        try:
            with _upload(settings, deadline) as files:
                _look_ahead(files, settings, deadline)
                rows, unreadable, outside = _classify(service, files, deadline)
        except TimeoutError as error:
            raise LateProblem("the batch took too long; send several") from error
        if not rows:
            raise BrokenProblem(
                _none_readable(unreadable), unreadable=unreadable_rows(unreadable[:MAX_LISTED])
            )
        body = predictions.encode(rows, positive)
        predictions.write(Path(settings.output_dir), team, body, unreadable)
    response = Response(body, mimetype="application/json")
    response.headers["X-Unreadable-Count"] = str(len(unreadable))
    response.headers["X-Out-Of-Domain-Count"] = str(outside)
    response.headers["X-Prediction"] = f"P({positive})"
    response.headers["X-Label-1-In-Training-Data"] = service.predictor.metadata.positive_class
    return response


def _team() -> str:
    try:
        return predictions.checked_team(request.args.get("team", ""))
    except predictions.TeamNameError as error:
        raise BadRequestProblem(f"give the team's name as ?team=NAME: {error}") from error


def _positive() -> Label:
    try:
        return predictions.checked_positive_class(request.values.get("positive", "REAL"))  # of query or form
    except ValueError as error:
        raise BadRequestProblem(f"{error}: `prediction` is the probability of that label") from error


def _check_output(settings: Settings) -> None:
    """Before the work, since what cannot be written would be lost after it."""
    try:
        check_writable(Path(settings.output_dir))
    except OSError as error:
        raise Problem(f"the server's CIFAKE_OUTPUT_DIR cannot be written to: {error.strerror}") from error


@contextmanager
def _upload(settings: Settings, deadline: float) -> Iterator[Files]:
    """The files of this request, whether sent one by one or as an archive."""
    files, archives = request.files.getlist("files"), request.files.getlist("archive")
    if len(archives) > 1 or bool(files) == bool(archives):
        raise BadRequestProblem(
            "send the pictures in the multipart field `files`, repeated, or one .zip, .tar or .tar.gz in "
            f"the field `archive`; there were {len(files)} files and {len(archives)} archives"
        )
    if archives:
        limits = ArchiveLimits(
            settings.max_batch_files, settings.max_image_bytes, settings.max_unpacked_bytes
        )
        with open_archive(archives[0].stream, limits, deadline) as archive:
            yield archive
    else:
        yield FormFiles(files, settings.max_image_bytes)


class FormFiles:
    """The files of a form, of each no more than one byte over `file_bytes`."""

    def __init__(self, files: list[FileStorage], file_bytes: int) -> None:
        self._files, self._file_bytes = files, file_bytes

    def members(self, most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See Files."""
        for file in self._files:
            file.stream.seek(0)
            size = self._file_bytes + 1 if most is None else most
            yield re.split(r"[/\\]", file.filename or "")[-1], file.stream.read(size)


def _look_ahead(files: Files, settings: Settings, deadline: float) -> None:
    """Refuse what would be refused later anyway, before any picture is decoded."""
    seen: set[str] = set()
    pixels = 0
    for name, head in files.members(HEAD):
        if name in seen:
            raise BadRequestProblem(f"two pictures are named {name!r}; names must differ, folders aside")
        seen.add(name)
        if len(seen) > settings.max_batch_files:
            raise TooLargeProblem(
                f"a batch may have {settings.max_batch_files} files at most; send several batches"
            )
        size = declared_pixels(head)
        if size <= settings.max_image_pixels:  # a larger one is left out, and told
            pixels += size
        _check_pixels(pixels, settings)
        _check_time(deadline)


def _classify(
    service: Service, files: Files, deadline: float
) -> tuple[list[predictions.Row], list[tuple[str, str]], int]:
    """(name, P(REAL)) of the pictures that could be read, (name, reason) of the others, and how many of
    the former are out of the model's domain."""
    outside = pixels = 0
    rows: list[predictions.Row] = []
    unreadable: list[tuple[str, str]] = []
    names: list[str] = []
    pictures: list[np.ndarray] = []

    def ask() -> None:
        nonlocal outside
        answers = service.predict(pictures, deadline).values
        rows.extend((name, answer.prediction) for name, answer in zip(names, answers, strict=True))
        outside += sum(answer.in_domain is False for answer in answers)
        names.clear()
        pictures.clear()

    for name, data in files.members():
        _check_time(deadline)
        try:
            picture = service.picture(data, deadline, patient=True)
        except ImageError as error:
            unreadable.append((name, str(error)))
            continue
        pixels += picture.width * picture.height
        _check_pixels(pixels, service.settings)
        names.append(name)
        pictures.append(picture.pixels)
        if len(pictures) == service.batcher.size:
            _check_client()
            ask()
    if pictures:
        ask()
    return rows, unreadable, outside


def _check_pixels(pixels: int, settings: Settings) -> None:
    if pixels > settings.max_batch_pixels:
        raise TooLargeProblem(
            f"a batch's pictures may have {settings.max_batch_pixels} pixels together; send several batches"
        )


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise TimeoutError


def _check_client() -> None:
    if client_gone():
        raise ClientGoneProblem("the client closed the connection")


def _none_readable(unreadable: list[tuple[str, str]]) -> str:
    if not unreadable:
        return "there is no file in this upload"
    return f"none of the {len(unreadable)} files could be read as a picture"
