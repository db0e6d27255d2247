"""`POST /batch`: classifies many pictures; the hackathon's JSON is the response and is written to a file."""

import io
import os
import time
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO

from flask import Blueprint, Response, g, request
from werkzeug.datastructures import FileStorage

from api.archives import FORMATS, FileSource, open_archive
from api.batches.checks import check_files
from api.batches.classify import Classifier, FileResult
from api.batches.options import BatchLimits, BatchOptions
from api.batches.report import DETAIL_TYPE, BatchReport, detailed, make_report, summary_headers
from api.batches.sources import FormFiles
from api.errors import BadRequestProblem, DeadlineProblem, Problem, StorageProblem
from api.forms import check_fields
from api.jobs.queue import current_jobs
from api.parameters import check_query, quoted
from api.routes.jobs import accepted, idempotency_key, positive_class, prefers_async, wants_detail
from api.service import Service, current_service
from api.settings import Settings
from api.uploads import client_disconnected, limit_upload
from model import predictions
from model.files import check_writable

blueprint = Blueprint("batch", __name__)


class ClientGoneProblem(Problem):
    """The client closed the connection; 499 is nginx's status for it."""

    status, slug = 499, "client-gone"  # type: ignore[assignment]


@blueprint.post("/batch")
def batch() -> Response:
    """Predictions for all pictures of the upload, in natural sort order of their names; or a job for them."""
    service = current_service()
    settings = service.settings
    check_query("team", "positive", "names", "detail")
    team, keep_folders, detail = _team_name(), _keep_folders(), wants_detail()
    _check_output_dir(settings)
    as_job, key = prefers_async(), idempotency_key()
    if as_job:
        current_jobs().check_room(request.content_length or 0)
    with service.batch_slot():
        started_at: float = g.started_at
        limit_upload(settings.max_batch_bytes, started_at + settings.upload_seconds)
        request.max_form_parts = settings.max_batch_files + 2  # one for `positive`, one spare
        check_fields("files", "archive", texts=("positive",))
        options = BatchOptions(team, positive_class() or "REAL", keep_folders)
        if as_job:
            return accepted(current_jobs().submit(options, _upload(settings), key))
        report = _classify(service, options)
        predictions.write(Path(settings.output_dir), team, report.predictions, report.unreadable)
    if detail:
        response = Response(detailed(report.parts), mimetype=DETAIL_TYPE)
    else:
        response = Response(report.predictions, mimetype="application/json")
    response.headers.update(summary_headers(report.summary))
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


def _check_output_dir(settings: Settings) -> None:
    """Checked first, so that no results are lost because they cannot be written."""
    try:
        check_writable(Path(settings.output_dir))
    except OSError as error:
        raise StorageProblem(
            f"the server's CIFAKE_OUTPUT_DIR cannot be written to: {os.strerror(error.errno or 0)}"
        ) from error


def _upload(settings: Settings) -> IO[bytes] | FormFiles:
    """The archive of the current request, or the files of its form."""
    files, archives = (_filled(request.files.getlist(field)) for field in ("files", "archive"))
    if len(archives) > 1 or bool(files) == bool(archives):
        counts = [f"{len(files)} files"] * bool(files) + [f"{len(archives)} archives"] * bool(archives)
        raise BadRequestProblem(
            f"send the pictures in the multipart field `files`, repeated, or one {FORMATS} in the field "
            f"`archive`; this form has {' and '.join(counts) or 'no file'}"
        )
    if archives:
        return archives[0].stream
    return FormFiles([(file.filename or "", file.stream) for file in files], settings.max_image_bytes)


def _filled(files: list[FileStorage]) -> list[FileStorage]:
    """Without those of inputs that a browser sends although nothing was chosen: no name and no bytes."""
    return [file for file in files if file.filename or file.stream.seek(0, io.SEEK_END)]


def _classify(service: Service, options: BatchOptions) -> BatchReport:
    """Classify the files of the current request. Raises Problem."""
    settings = service.settings
    started_at = time.monotonic()
    deadline = started_at + settings.max_batch_seconds
    limits = BatchLimits.from_settings(settings, settings.max_batch_files)
    upload = _upload(settings)
    results: list[FileResult] = []
    try:
        source: AbstractContextManager[FileSource]
        if isinstance(upload, FormFiles):
            source = nullcontext(upload)
        else:
            source = open_archive(upload, limits.archive, deadline)
        with source as files:
            check_files(files, options, limits, deadline)
            for some in Classifier(service, options, limits).results(files.iter_files(), deadline):
                results += some
                if client_disconnected():
                    raise ClientGoneProblem("the client closed the connection")
    except TimeoutError as error:
        raise DeadlineProblem("the batch took too long; send several") from error
    return make_report(results, options, service.predictor.metadata, time.monotonic() - started_at)
