"""The SQL of one row of the table of jobs. `db` is a transaction of api.jobs.database."""

import json
import sqlite3
from typing import Any

from api.batches.options import BatchOptions
from api.errors import ManyJobsProblem, StorageProblem
from api.jobs.job import Job, State
from model.predictions import validate_positive_class

ACTIVE, OWNED = "state IN ('queued', 'running')", "state = 'running'"


class ClaimLostError(Exception):
    """The job was cancelled, or was claimed by another owner."""


def check_room(db: sqlite3.Connection, size: int, max_active: int, max_bytes: int) -> None:
    """Raises ManyJobsProblem or StorageProblem if there is no room for a job of `size` bytes."""
    [active] = db.execute(f"SELECT count(*) FROM jobs WHERE {ACTIVE}").fetchone()
    if active >= max_active:
        raise ManyJobsProblem(f"{active} jobs wait or run; retry in a minute")
    [used] = db.execute("SELECT coalesce(sum(bytes), 0) FROM jobs").fetchone()
    if used + size > max_bytes:
        raise StorageProblem(
            f"the jobs take {used} of {max_bytes} bytes, and this one has {size}: delete jobs that are done, "
            "or retry when some have expired"
        )


def update(db: sqlite3.Connection, job: Job, condition: str = OWNED, **values: object) -> Job:
    """Change columns of a job that nobody has claimed since. Raises ClaimLostError."""
    assignments = ", ".join(f"{name} = :{name}" for name in values)
    changed = db.execute(
        f"UPDATE jobs SET {assignments} WHERE number = :its_number AND claims = :its_claims AND {condition} "
        "RETURNING *",
        {"its_number": job.number, "its_claims": job.claims, **values},
    ).fetchall()
    if not changed:
        raise ClaimLostError
    return to_job(changed[0])


def end(
    db: sqlite3.Connection,
    job: Job,
    now: float,
    state: State,
    reason: dict[str, Any] | None,
    size: int,
    condition: str = OWNED,
) -> None:
    """Record that a job has ended, and remove its results. Arguments: see Job; size: its bytes on the disk.

    Raises ClaimLostError.
    """
    encoded = reason and json.dumps(reason)
    update(db, job, condition, state=state, finished=now, reason=encoded, bytes=size)
    delete_results(db, job.id)


def delete_results(db: sqlite3.Connection, job_id: str) -> None:
    """Remove the results of a job that has ended: its files have them."""
    query = f"DELETE FROM results WHERE job = (SELECT number FROM jobs WHERE id = ? AND NOT {ACTIVE})"
    db.execute(query, (job_id,))


def to_job(row: sqlite3.Row) -> Job:
    """The job of a whole row."""
    values = dict(row)
    options = BatchOptions(
        values.pop("team"), validate_positive_class(values.pop("positive")), bool(values.pop("keep_folders"))
    )
    del values["key"], values["bytes"]
    reason = values.pop("reason")
    return Job(options=options, reason=reason and json.loads(reason), **values)
