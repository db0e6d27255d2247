"""`POST /batch`: classifies many pictures; the hackathon's JSON is the response and is written to a file."""

import io
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from flask import Blueprint, Response, g, request
from werkzeug.datastructures import FileStorage

from api.archives import FORMATS, ArchiveLimits, FileSource, names, open_archive
from api.archives.members import check_time
from api.errors import BadRequestProblem, BrokenProblem, DeadlineProblem, Problem, TooLargeProblem
from api.forms import check_fields
from api.parameters import check_query, quoted
from api.service import InputPicture, Service, current_service
from api.settings import Settings
from api.uploads import client_disconnected, limit_upload
from model import predictions
from model.files import check_writable
from model.images.decode import MAGIC
from model.images.errors import ImageError, ImageTooLargeError
from model.images.headers import declared_pixels
from model.images.signature import file_kind
from model.metadata import Label
from model.predictions import unreadable_rows

blueprint = Blueprint("batch", __name__)

MAX_LISTED_ERRORS = 20
HEADER_BYTES = 1 << 16  # of a file, to read the picture's width and height from
PATH_BYTES = 256  # limit of a path in UTF-8, on average of as many files as a batch may have, and 1 MiB more


class ClientGoneProblem(Problem):
    """The client closed the connection; 499 is nginx's status for it."""

    status, slug = 499, "client-gone"  # type: ignore[assignment]


@blueprint.post("/batch")
def batch() -> Response:
    """Predictions for all pictures of the upload, in natural sort order of their names."""
    service = current_service()
    settings = service.settings
    check_query("team", "positive", "names")
    team = _team_name()
    keep_folders = _keep_folders()
    _check_output_dir(settings)
    with service.batch_slot():
        started_at: float = g.started_at
        limit_upload(settings.max_batch_bytes, started_at + settings.upload_seconds)
        request.max_form_parts = settings.max_batch_files + 2  # one for `positive`, one spare
        check_fields("files", "archive", texts=("positive",))
        positive = _positive_class()
        deadline = time.monotonic() + settings.max_batch_seconds
        try:
            with _open_upload(settings, deadline) as files:
                _check_limits(files, settings, keep_folders, deadline)
                rows, unreadable, reasons = _classify(service, files, keep_folders, deadline)
        except TimeoutError as error:
            raise DeadlineProblem("the batch took too long; send several") from error
        if not rows:
            raise BrokenProblem(
                _no_pictures_message(unreadable), unreadable=unreadable_rows(unreadable[:MAX_LISTED_ERRORS])
            )
        body = predictions.encode(rows, positive)
        predictions.write(Path(settings.output_dir), team, body, unreadable)
    response = Response(body, mimetype="application/json")
    response.headers["X-Unreadable-Count"] = str(len(unreadable))
    response.headers["X-Out-Of-Domain-Count"] = str(reasons["size"] + reasons["content"])
    response.headers["X-Out-Of-Domain-Size-Count"] = str(reasons["size"])
    response.headers["X-Prediction"] = f"P({positive})"
    response.headers["X-Label-1-In-Training-Data"] = service.predictor.metadata.positive_class
    return response


def _team_name() -> str:
    try:
        return predictions.validate_team(request.args.get("team", ""))
    except predictions.TeamNameError as error:
        raise BadRequestProblem(f"give the team's name as ?team=NAME: {error}") from error


def _keep_folders() -> bool:
    """Whether an `image_id` is a path with folders, by `?names=path`, instead of a file's name."""
    chosen = request.args.get("names", "basename")
    if chosen not in ("basename", "path"):
        raise BadRequestProblem(f"names must be basename or path, not {quoted(chosen)}")
    return chosen == "path"


def _positive_class() -> Label:
    """From the query or the form."""
    try:
        return predictions.validate_positive_class(request.values.get("positive", "REAL"))
    except ValueError as error:
        raise BadRequestProblem(f"{error}: `prediction` is the probability of that label") from error


def _check_output_dir(settings: Settings) -> None:
    """Checked first, so that no results are lost because they cannot be written."""
    try:
        check_writable(Path(settings.output_dir))
    except OSError as error:
        raise Problem(f"the server's CIFAKE_OUTPUT_DIR cannot be written to: {error.strerror}") from error


@contextmanager
def _open_upload(settings: Settings, deadline: float) -> Iterator[FileSource]:
    """The files of the current request, from form fields or an archive."""
    files, archives = (_filled(request.files.getlist(field)) for field in ("files", "archive"))
    if len(archives) > 1 or bool(files) == bool(archives):
        counts = [f"{len(files)} files"] * bool(files) + [f"{len(archives)} archives"] * bool(archives)
        raise BadRequestProblem(
            f"send the pictures in the multipart field `files`, repeated, or one {FORMATS} in the field "
            f"`archive`; this form has {' and '.join(counts) or 'no file'}"
        )
    if archives:
        limits = ArchiveLimits(
            settings.max_batch_files, settings.max_image_bytes, settings.max_unpacked_bytes
        )
        with open_archive(archives[0].stream, limits, deadline) as archive:
            yield archive
    else:
        yield FormFiles(files, settings.max_image_bytes)


def _filled(files: list[FileStorage]) -> list[FileStorage]:
    """Without those of inputs that a browser sends although nothing was chosen: no name and no bytes."""
    return [file for file in files if file.filename or file.stream.seek(0, io.SEEK_END)]


class FormFiles:
    """The files of a form, each truncated to one byte over `file_bytes`. Implements FileSource."""

    def __init__(self, files: list[FileStorage], file_bytes: int) -> None:
        self._files, self._file_bytes = files, file_bytes

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        for file in self._files:
            file.stream.seek(0)
            size = self._file_bytes + 1 if max_bytes is None else max_bytes
            yield names.form_path(file.filename or ""), file.stream.read(size)


def _check_limits(files: FileSource, settings: Settings, keep_folders: bool, deadline: float) -> None:
    """Check names, counts and declared sizes of all files before any picture is decoded."""
    image_ids: set[str] = set()  # of the files that look like pictures
    path_bytes = pixels = 0
    for count, (path, header) in enumerate(files.iter_files(HEADER_BYTES), 1):
        path_bytes += len(path.encode())
        if count > settings.max_batch_files:
            raise TooLargeProblem(
                f"a batch may have {settings.max_batch_files} files at most; send several batches"
            )
        if path_bytes > (1 << 20) + PATH_BYTES * settings.max_batch_files:
            raise TooLargeProblem("the names of the files are too long together; send several batches")
        size = declared_pixels(header)
        if size <= settings.max_image_pixels:  # a larger picture is reported as unreadable
            pixels += size
            if size or header.startswith(MAGIC) or file_kind(header) in ("AVIF", "HEIC"):
                _add_image_id(image_ids, path, keep_folders)
        _check_pixels(pixels, settings)
        check_time(deadline)


def _add_image_id(image_ids: set[str], path: str, keep_folders: bool) -> str:
    """Add the `image_id` of the picture at a path, and return it. Raises BadRequestProblem if it is there."""
    image_id = path if keep_folders else names.base_name(path)
    if image_id in image_ids:
        remedy = "" if keep_folders else ", or, if their folders differ, ask with ?names=path"
        raise BadRequestProblem(f"two pictures are named {image_id!r}; give them different names{remedy}")
    image_ids.add(image_id)
    return image_id


def _classify(
    service: Service, files: FileSource, keep_folders: bool, deadline: float
) -> tuple[list[predictions.Row], list[tuple[str, str]], Counter[str | None]]:
    """(image_id, P(REAL)) of readable pictures, (path, reason) of other files, and out-of-domain reasons."""
    pixels = 0
    reasons: Counter[str | None] = Counter()
    rows: list[predictions.Row] = []
    unreadable: list[tuple[str, str]] = []
    image_ids: set[str] = set()
    ids: list[str] = []  # of `pictures`
    pictures: list[InputPicture] = []

    def predict_pictures() -> None:
        results = service.predict([picture.pixels for picture in pictures], deadline).values
        rows.extend((image_id, result.prediction) for image_id, result in zip(ids, results, strict=True))
        reasons.update(picture.domain(result)[1] for picture, result in zip(pictures, results, strict=True))
        ids.clear()
        pictures.clear()

    for path, data in files.iter_files():
        check_time(deadline)
        try:
            if len(data) > service.settings.max_image_bytes:
                raise ImageTooLargeError(
                    f"a picture may have {service.settings.max_image_bytes} bytes at most; send a smaller one"
                )
            picture = service.decode_picture(data, deadline, always_wait=True)
        except ImageError as error:
            unreadable.append((path, str(error)))
            continue
        pixels += picture.width * picture.height
        _check_pixels(pixels, service.settings)
        ids.append(_add_image_id(image_ids, path, keep_folders))
        pictures.append(picture)
        if len(pictures) == service.batcher.max_batch_size:
            if client_disconnected():
                raise ClientGoneProblem("the client closed the connection")
            predict_pictures()
    if pictures:
        predict_pictures()
    return rows, unreadable, reasons


def _check_pixels(pixels: int, settings: Settings) -> None:
    if pixels > settings.max_batch_pixels:
        raise TooLargeProblem(
            f"a batch's pictures may have {settings.max_batch_pixels} pixels together; send several batches"
        )


def _no_pictures_message(unreadable: list[tuple[str, str]]) -> str:
    if not unreadable:
        return "there is no file in this upload"
    return f"none of the {len(unreadable)} files could be read as a picture"
