"""Operations of `/predict`, `/batch` and its jobs."""

from typing import Any

from api.archives import FORMATS
from api.batches.report import DETAIL_TYPE
from api.forms import FORM
from api.openapi import examples
from api.openapi.operation import (
    BINARY,
    JSON,
    UPLOADED,
    Operation,
    Paths,
    links,
    operation,
    parameter,
    path,
    query,
)
from api.openapi.responses import BATCH_HEADERS, response
from api.openapi.schemas import FILE_BYTES, JOB_ID, LABEL, STRING, Schema, array, record, ref
from api.routes.jobs import MAX_LISTED
from api.settings import Settings
from model.predictions import TEAM

FLAG: Schema = {"enum": ["0", "1"], "default": "0"}
POSITIVE = "the label whose probability is answered"


def picture_paths(settings: Settings) -> Paths:
    """The operations by paths and methods."""
    paths = {
        "/predict": {"post": _predict(settings)},
        "/batch": {"post": _batch(settings), "get": _list_jobs()},
        "/batch/{job_id}": {"get": _get_job(), "delete": _delete_job()},
        "/batch/{job_id}/result": {"get": _result()},
        "/batch/{job_id}/unreadable": {"get": _unreadable()},
    }
    for name, operations in paths.items():
        if "{job_id}" in name:
            for one in operations.values():
                one.setdefault("parameters", []).append(path("job_id", JOB_ID))
    return paths


def _predict(settings: Settings) -> Operation:
    limit = f"at most {settings.max_image_bytes} bytes and {settings.max_image_pixels} pixels"
    base64 = {"type": "string", "contentEncoding": "base64", "description": f"base64 or a data URL, {limit}"}
    answer = {
        "schema": {"oneOf": [ref("Answer"), ref("HuggingFaceAnswer")]},
        "examples": {
            "json": {"value": examples.CAT},
            "huggingface": {"value": examples.BALL_FOR_HUGGING_FACE},
        },
    }
    return operation(
        "predict",
        "pictures",
        "Classify one picture",
        {"200": response("the label of the picture", {JSON: answer}, "Server-Timing")},
        UPLOADED,
        parameters=[
            query(
                "abstain",
                {"type": "number", "minimum": 0, "maximum": 1, "default": 0},
                "the label is UNCERTAIN where `confidence` is below that",
            ),
            query("explain", {"enum": ["gradcam"]}, "add a heat map"),
            query("input", FLAG, "add the pixels that the network received"),
            query("provenance", FLAG, "add what the file states"),
            query(
                "format",
                {"enum": ["json", "huggingface"], "default": "json"},
                "`huggingface`: an array of labels and scores, without any of the other parameters",
            ),
        ],
        body={
            FORM: {"schema": record({"file": {**FILE_BYTES, "description": limit}})},
            JSON: {"schema": record({"file": base64}, closed=False)},
            BINARY: {"schema": {}},
            "image/*": {"schema": {}},
        },
    )


def _batch(settings: Settings) -> Operation:
    limits = (
        f"at most {settings.max_batch_files} files with {settings.max_batch_bytes} bytes and "
        f"{settings.max_batch_pixels} pixels together, and {settings.max_image_bytes} bytes each"
    )
    files = array(FILE_BYTES, minItems=1, maxItems=settings.max_batch_files)
    archive = {
        **FILE_BYTES,
        "description": f"{FORMATS}; unpacked, at most {settings.max_unpacked_bytes} bytes, and as a job "
        f"{settings.max_job_files} files",
    }
    positive: dict[str, Schema] = {"positive": LABEL}
    job = response(
        "a job, with `Prefer: respond-async`", {JSON: ref("Job")}, "Location", "Preference-Applied"
    )
    job["links"] = links("job_id", "$response.body#/id", "get_job", "result", "unreadable", "delete_job")
    upload = {"oneOf": [record({"files": files}, positive), record({"archive": archive}, positive)]}
    return operation(
        "batch",
        "pictures",
        f"Classify many pictures: {limits}",
        {
            "200": _predictions_response("P(REAL) of each picture, in natural order of names"),
            "202": job,
        },
        UPLOADED,
        parameters=[
            query(
                "team",
                {"type": "string", "pattern": f"^{TEAM.pattern}$"},
                "names the file in the server's output folder",
                required=True,
            ),
            query("positive", {**LABEL, "default": "REAL"}, POSITIVE),
            query(
                "names",
                {"enum": ["basename", "path"], "default": "basename"},
                "`path`: an `image_id` is the path with its folders",
            ),
            _detail(),
            parameter(
                "header",
                "Prefer",
                {"type": "string", "examples": ["respond-async"]},
                "`respond-async`: as a job (RFC 7240)",
            ),
            parameter(
                "header",
                "Idempotency-Key",
                {"type": "string", "pattern": r"^[!#-\[\]-~]{1,255}$"},
                "of a job: the same upload with the same key is not accepted twice",
            ),
        ],
        body={FORM: {"schema": upload}},
    )


def _predictions_response(text: str, *more_types: str) -> dict[str, Any]:
    content: dict[str, Any] = {
        JSON: {
            "schema": ref("Predictions"),
            "example": examples.PREDICTIONS,
        },
        DETAIL_TYPE: ref("DetailedPredictions"),
    }
    return response(text, content | dict.fromkeys(more_types, STRING), *BATCH_HEADERS)


def _detail() -> dict[str, Any]:
    text = (
        f"`1`: also unreadable files, pictures out of the domain and a summary, as {DETAIL_TYPE}, which "
        "`Accept` may ask for too"
    )
    return query("detail", {"enum": ["0", "1"]}, text)


def _list_jobs() -> Operation:
    return operation(
        "list_jobs",
        "jobs",
        "Jobs, the newest first, in pages",
        {"200": response("a page of jobs", {JSON: ref("Jobs")})},
        (400,),
        parameters=[
            query(
                "limit", {"type": "integer", "minimum": 1, "maximum": MAX_LISTED, "default": 100}, "of a page"
            ),
            query(
                "after",
                {"type": "integer", "minimum": 1, "maximum": (1 << 63) - 1},
                "where the page begins, as in `links.next` of the one before",
            ),
        ],
    )


def _get_job() -> Operation:
    job = {"schema": ref("Job"), "example": examples.JOB}
    return operation(
        "get_job", "jobs", "How far a job is", {"200": response("the job", {JSON: job})}, (400, 404)
    )


def _delete_job() -> Operation:
    answers = {
        "200": response("a job that had not ended is cancelled", {JSON: ref("Job")}),
        "204": response("a job that had ended is removed", {}),
    }
    return operation("delete_job", "jobs", "Cancel or remove a job", answers, (400, 404))


def _result() -> Operation:
    return operation(
        "result",
        "jobs",
        "What `POST /batch` would have answered",
        {"200": _predictions_response("P(REAL) of each picture, or P(FAKE)", "text/csv")},
        (400, 404, 409),
        parameters=[
            query("format", {"enum": ["json", "csv"], "default": "json"}, "`csv`: without `detail=1`"),
            _detail(),
            query("positive", LABEL, f"{POSITIVE}, by default as the job was asked for"),
        ],
    )


def _unreadable() -> Operation:
    return operation(
        "unreadable",
        "jobs",
        "The files of a job that could not be read as pictures, and why",
        {"200": response("their names and reasons", {JSON: ref("Unreadable")})},
        (400, 404, 409),
    )
