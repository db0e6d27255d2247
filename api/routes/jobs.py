"""`/batch/ID`: the state, results and end of batch jobs; `GET /batch` lists them."""

import re
import threading
from datetime import UTC, datetime
from typing import Any

from flask import Blueprint, Response, json, jsonify, request, url_for

from api.batches.report import (
    DETAIL_TYPE,
    PARTS,
    Parts,
    detailed,
    summary_headers,
    to_csv,
    with_positive,
)
from api.errors import BadRequestProblem
from api.jobs.job import Job
from api.jobs.queue import current_jobs
from api.parameters import check_query, flag, quoted
from model.metadata import Label
from model.predictions import validate_positive_class

blueprint = Blueprint("jobs", __name__)

MAX_LISTED = 1000

_converting = threading.Lock()  # one at a time: the predictions of 100,000 pictures take 40 MB meanwhile


@blueprint.get("/batch")
def list_jobs() -> dict[str, Any]:
    """Jobs, the newest first, in pages."""
    check_query("limit", "after")
    limit, after = _number("limit", 100, MAX_LISTED), _number("after", None, (1 << 63) - 1)
    assert limit is not None
    jobs = current_jobs().store.newest(limit + 1, after)
    links = {"self": url_for("jobs.list_jobs", limit=limit, after=after)}
    if len(jobs) > limit:
        links["next"] = url_for("jobs.list_jobs", limit=limit, after=jobs[limit - 1].number)
    return {"jobs": [job_object(job) for job in jobs[:limit]], "links": links}


@blueprint.get("/batch/<job_id>")
def get_job(job_id: str) -> dict[str, Any]:
    """How far a job is."""
    check_query()
    return job_object(current_jobs().get(job_id))


@blueprint.get("/batch/<job_id>/result")
def result(job_id: str) -> Response:
    """What `POST /batch` would have answered, or the same as CSV."""
    check_query("format", "detail", "positive")
    chosen = request.args.get("format", "json")
    if chosen not in ("json", "csv"):
        raise BadRequestProblem(f"format must be json or csv, not {quoted(chosen)}")
    detail, positive = wants_detail(), positive_class()
    if detail and chosen == "csv":
        raise BadRequestProblem("detail=1 is JSON: leave out format=csv")
    jobs = current_jobs()
    names = PARTS if detail else ("predictions", "summary")
    parts: Parts = {name: jobs.result(job_id, name) for name in names}
    if positive is not None:
        with _converting:
            parts = with_positive(parts, positive)
    if chosen == "csv":
        with _converting:
            response = Response(to_csv(parts["predictions"]), mimetype="text/csv")
    elif detail:
        response = Response(detailed(parts), mimetype=DETAIL_TYPE)
    else:
        response = Response(parts["predictions"], mimetype="application/json")
    response.headers.update(summary_headers(json.loads(parts["summary"])))
    return response


@blueprint.get("/batch/<job_id>/unreadable")
def unreadable(job_id: str) -> Response:
    """The files of a job that could not be read as pictures, and why."""
    check_query()
    return Response(current_jobs().result(job_id, "unreadable"), mimetype="application/json")


@blueprint.delete("/batch/<job_id>")
def delete_job(job_id: str) -> Response:
    """Cancel a job that has not ended (200, with the job), or remove one that has (204)."""
    check_query()
    job = current_jobs().cancel(job_id)
    return Response(status=204) if job is None else jsonify(job_object(job))


def wants_detail() -> bool:
    """By `?detail=1` or `Accept: application/vnd.cifake+json`. Raises BadRequestProblem."""
    detail = flag("detail")
    if detail is None:
        return request.accept_mimetypes.best_match(["application/json", DETAIL_TYPE]) == DETAIL_TYPE
    return detail


def positive_class() -> Label | None:
    """The label of `positive` in the query or the form, None without it. Raises BadRequestProblem."""
    name = request.values.get("positive")
    if name is None:
        return None
    try:
        return validate_positive_class(name)
    except ValueError as error:
        raise BadRequestProblem(
            f"positive must be REAL or FAKE, the label whose probability `prediction` is, not {quoted(name)}"
        ) from error


def prefers_async() -> bool:
    """Whether the request has the preference `respond-async` (RFC 7240)."""
    preferences = ",".join(request.headers.getlist("Prefer")).split(",")
    return any(one.partition(";")[0].strip().lower() == "respond-async" for one in preferences)


def idempotency_key() -> str | None:
    """The Idempotency-Key, with or without the quotes of its syntax (RFC 9651). Raises BadRequestProblem."""
    header = request.headers.get("Idempotency-Key")
    if header is None:
        return None
    match = re.fullmatch(r'"([!#-\[\]-~]{1,255})"|([!#-\[\]-~]{1,255})', header)
    if match is None:
        raise BadRequestProblem(
            "the Idempotency-Key must be 1 to 255 printable ASCII characters, such as a UUID in quotes"
        )
    return match[1] or match[2]


def accepted(job: Job) -> Response:
    """202 with the job and where to ask for it."""
    response = jsonify(job_object(job))
    response.status_code = 202
    response.headers["Location"] = url_for("jobs.get_job", job_id=job.id)
    response.headers["Preference-Applied"] = "respond-async"
    return response


def job_object(job: Job) -> dict[str, Any]:
    """A job as JSON; times are RFC 3339."""
    links = {"self": url_for("jobs.get_job", job_id=job.id)}
    if job.state == "done":
        links |= {name: url_for(f"jobs.{name}", job_id=job.id) for name in ("result", "unreadable")}
    members: dict[str, Any] = {
        "id": job.id,
        "team": job.options.team,
        "state": job.state,
        "created": _time(job.created),
        "started": _time(job.started),
        "finished": _time(job.finished),
        "total": job.total,
        "done": job.done,
        "unreadable": job.unreadable,
        "seconds_left": None if job.seconds_left is None else round(job.seconds_left, 1),
        "links": links,
    }
    if job.reason is not None:
        members["reason"] = job.reason
    return members


def _time(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _number(name: str, default: int | None, most: int) -> int | None:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20 and 1 <= int(text) <= most):
        raise BadRequestProblem(f"{name} must be a number from 1 to {most}, not {quoted(text)}")
    return int(text)
