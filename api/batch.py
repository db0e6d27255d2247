"""`POST /batch`: many pictures, the hackathon's JSON as a file and as the answer."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from flask import Blueprint, Response, current_app, request

from api.archives import ArchiveLimits, read_archive
from api.errors import BadRequestProblem, BrokenProblem, TooLargeProblem
from api.service import Service, current_service
from model import predictions
from model.images import ImageError
from model.manifest import Label
from model.predictions import unreadable_rows

blueprint = Blueprint("batch", __name__)

NAMED = 20


@blueprint.post("/batch")
def batch() -> Response:
    """Predictions for all pictures of the upload, in natural order of their names."""
    service = current_service()
    team = _team()
    _bound_upload()
    positive = _positive()
    rows, unreadable, outside = _classify(service, _upload())
    if not rows:
        raise BrokenProblem(_none_readable(unreadable), unreadable=unreadable_rows(unreadable[:NAMED]))
    body = predictions.encode(rows, positive)
    predictions.write(Path(current_app.config["OUTPUT_DIR"]), team, body, unreadable)
    response = Response(body, mimetype="application/json")
    response.headers["X-Unreadable-Count"] = str(len(unreadable))
    response.headers["X-Out-Of-Domain-Count"] = str(outside)
    response.headers["X-Prediction"] = f"P({positive})"
    response.headers["X-Label-1-In-Training-Data"] = service.predictor.checkpoint.positive
    return response


def _team() -> str:
    try:
        return predictions.checked_team(request.args.get("team", ""))
    except predictions.TeamNameError as error:
        raise BadRequestProblem(f"give the team's name as ?team=NAME: {error}") from error


def _positive() -> Label:
    try:
        return predictions.checked_positive(request.values.get("positive", "REAL"))  # of query or form
    except ValueError as error:
        raise BadRequestProblem(f"{error}: `prediction` is the probability of that label") from error


def _bound_upload() -> None:
    """Before anything of the form is read."""
    request.max_content_length = current_app.config["MAX_BATCH_BYTES"]
    request.max_form_parts = current_app.config["MAX_BATCH_FILES"] + 2  # and `positive`


def _upload() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each file of this request, whether sent one by one or as an archive."""
    config = current_app.config
    files, archives = request.files.getlist("files"), request.files.getlist("archive")
    if len(archives) > 1 or bool(files) == bool(archives):
        raise BadRequestProblem(
            "send the pictures in the multipart field `files`, repeated, or one .zip, .tar or .tar.gz in "
            f"the field `archive`; there were {len(files)} files and {len(archives)} archives"
        )
    if archives:
        limits = ArchiveLimits(
            config["MAX_BATCH_FILES"], config["MAX_IMAGE_BYTES"], config["MAX_UNPACKED_BYTES"]
        )
        yield from read_archive(archives[0].stream, limits)
    for file in files:
        yield re.split(r"[/\\]", file.filename or "")[-1], file.read(config["MAX_IMAGE_BYTES"] + 1)


def _classify(
    service: Service, upload: Iterator[tuple[str, bytes]]
) -> tuple[list[predictions.Row], list[tuple[str, str]], int]:
    """(name, P(REAL)) of the pictures that could be read, (name, reason) of the others, and how many of
    the former are out of the model's domain."""
    outside = 0
    rows: list[predictions.Row] = []
    unreadable: list[tuple[str, str]] = []
    seen: set[str] = set()
    most = current_app.config["MAX_BATCH_FILES"]
    while chunk := list(islice(upload, service.batcher.size)):
        names: list[str] = []
        pictures: list[np.ndarray] = []
        for name, data in chunk:
            if name in seen:
                raise BadRequestProblem(f"two pictures are named {name!r}; names must differ, folders aside")
            seen.add(name)
            if len(seen) > most:
                raise TooLargeProblem(f"a batch may have {most} files at most; send several batches")
            try:
                pictures.append(service.picture(data).pixels)
                names.append(name)
            except ImageError as error:
                unreadable.append((name, str(error)))
        if pictures:
            answers = service.read(pictures).values
            rows += [(name, answer.prediction) for name, answer in zip(names, answers, strict=True)]
            outside += sum(answer.in_domain is False for answer in answers)
    return rows, unreadable, outside


def _none_readable(unreadable: list[tuple[str, str]]) -> str:
    if not unreadable:
        return "there is no file in this upload"
    return f"none of the {len(unreadable)} files could be read as a picture"
