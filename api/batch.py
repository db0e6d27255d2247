"""`POST /batch`: many pictures, the hackathon's JSON as a file and as the answer."""

import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
from flask import Blueprint, Response, current_app, json, request

from api.archives import ArchiveLimits, read_archive
from api.errors import BadRequestProblem, BrokenProblem, TooLargeProblem
from api.service import Service, current_service
from model.files import atomically
from model.images import ImageError

blueprint = Blueprint("batch", __name__)

TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
CHUNK = 256
NAMED = 20


@blueprint.post("/batch")
def batch() -> Response:
    """Predictions for all pictures of the upload, in natural order of their names."""
    service = current_service()
    team = _team()
    images, predictions, unreadable = _classify(service, _upload())
    if not images:
        raise BrokenProblem(_none_readable(unreadable), unreadable=_rows(unreadable[:NAMED]))
    rows = [
        {"image_id": image, "prediction": prediction}
        for image, prediction in sorted(
            zip(images, predictions, strict=True), key=lambda row: natural_key(row[0])
        )
    ]
    body = json.dumps(rows).encode()
    folder = Path(current_app.config["OUTPUT_DIR"])
    with atomically(folder / f"{team}_prediction.json") as file:
        file.write(body)
    response = Response(body, mimetype="application/json")
    response.headers["X-Unreadable-Count"] = str(len(unreadable))
    errors = folder / f"{team}_unreadable.json"
    if unreadable:
        with atomically(errors) as file:
            file.write(json.dumps(_rows(unreadable)).encode())
    else:
        errors.unlink(missing_ok=True)  # of an earlier batch of this team
    return response


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which 2.png comes before 10.png."""
    return [_number_or_text(part) for part in re.findall(r"\d+|\D+", name)]


def _number_or_text(part: str) -> tuple[bool, int, str]:
    if not part[0].isdecimal():
        return True, 0, part
    # Of two numbers without leading zeros the longer one is the larger; int() refuses very long ones.
    digits = part.lstrip("0")
    return False, len(digits), digits


def _team() -> str:
    team = request.args.get("team", "")
    if not TEAM.fullmatch(team):
        raise BadRequestProblem(
            "give the team's name as ?team=NAME: 1 to 64 letters, digits, spaces, dots, dashes or "
            "underscores, the first a letter or digit"
        )
    return team


def _upload() -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each file of this request, whether sent one by one or as an archive."""
    config = current_app.config
    request.max_content_length = config["MAX_BATCH_BYTES"]
    request.max_form_parts = config["MAX_BATCH_FILES"] + 1
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
) -> tuple[list[str], list[float], list[tuple[str, str]]]:
    """Names and P(REAL) of the pictures that could be read, and (name, reason) of the others."""
    names: list[str] = []
    predictions: list[float] = []
    unreadable: list[tuple[str, str]] = []
    seen: set[str] = set()
    most = current_app.config["MAX_BATCH_FILES"]
    while chunk := list(islice(upload, CHUNK)):
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
        predictions += service.predict(pictures)
    return names, predictions, unreadable


def _none_readable(unreadable: list[tuple[str, str]]) -> str:
    if not unreadable:
        return "there is no file in this upload"
    return f"none of the {len(unreadable)} files could be read as a picture"


def _rows(unreadable: list[tuple[str, str]]) -> list[dict[str, str]]:
    return [{"image_id": name, "error": reason} for name, reason in unreadable]
