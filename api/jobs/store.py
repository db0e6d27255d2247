"""The record of jobs and of their results, shared by all workers.

A job is worked on by the owner of its newest claim, which is a lease: after `lease_seconds` without a result,
or at once if the owner is known to be gone, another may claim it. What an owner records it records only while
its claim is the newest, so that a file has one result, whoever else believes to own the job.
"""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from api.batches.classify import FileResult
from api.batches.options import BatchOptions
from api.errors import KeyReusedProblem, problem_object
from api.jobs import rows
from api.jobs.database import Database
from api.jobs.job import Job
from api.jobs.rows import ACTIVE

LEASE_SECONDS = 600.0  # more than to unpack an archive, or to decode the slowest pictures of a list
MAX_ATTEMPTS = 5


class Store:
    """clock: seconds since 1970. All methods raise JobsUnavailableProblem if the file cannot be used."""

    def __init__(
        self,
        path: Path,
        clock: Callable[[], float] = time.time,
        lease_seconds: float = LEASE_SECONDS,
        max_attempts: int = MAX_ATTEMPTS,
    ) -> None:
        self._database = Database(path)
        self._clock, self._lease_seconds, self._max_attempts = clock, lease_seconds, max_attempts

    # For clients

    def check_room(self, size: int, max_active: int, max_bytes: int) -> None:
        """Raises ManyJobsProblem or StorageProblem if there is no room for a job of `size` bytes."""
        with self._database.reading() as db:
            if db is not None:
                rows.check_room(db, size, max_active, max_bytes)

    def add(
        self, job_id: str, options: BatchOptions, size: int, key: str | None, max_active: int, max_bytes: int
    ) -> Job:
        """Add a job of `size` bytes, or return the one that has this key.

        Raises KeyReusedProblem if that one has other options, and what `check_room` does.
        """
        with self._database.transaction() as db:
            row = db.execute("SELECT * FROM jobs WHERE key = ?", (key,)).fetchone()
            if row is not None:
                job = rows.to_job(row)
                if job.options != options:
                    raise KeyReusedProblem(
                        "the Idempotency-Key is that of a job with another team or options; send a new one"
                    )
                return job
            rows.check_room(db, size, max_active, max_bytes)
            db.execute(
                "INSERT INTO jobs (id, key, team, positive, keep_folders, bytes, created) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (job_id, key, options.team, options.positive, options.keep_folders, size, self._clock()),
            )
            return rows.to_job(db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone())

    def get(self, job_id: str) -> Job | None:
        """The job, or None if there is none of that id."""
        with self._database.reading() as db:
            row = db.execute("SELECT * FROM jobs WHERE id = ?", (job_id,)).fetchone() if db else None
            return rows.to_job(row) if row else None

    def newest(self, limit: int, before: int | None = None) -> list[Job]:
        """Up to `limit` jobs, the newest first, of those with a `number` below `before`."""
        with self._database.reading() as db:
            if db is None:
                return []
            bound = (1 << 63) - 1 if before is None else before
            query = "SELECT * FROM jobs WHERE number < ? ORDER BY number DESC LIMIT ?"
            return list(map(rows.to_job, db.execute(query, (bound, limit))))

    def count_by_state(self) -> dict[str, int]:
        """The number of jobs in each state that any are in."""
        with self._database.reading() as db:
            counts = db.execute("SELECT state, count(*) FROM jobs GROUP BY state").fetchall() if db else []
            return dict(map(tuple, counts))

    def cancel(self, job_id: str) -> bool:
        """Cancel a job that is queued or running. Returns whether it was."""
        with self._database.transaction() as db:
            changed = db.execute(
                f"UPDATE jobs SET state = 'cancelled', finished = ?, reason = NULL, bytes = 0 "
                f"WHERE id = ? AND {ACTIVE}",
                (self._clock(), job_id),
            )
            rows.delete_results(db, job_id)
            return changed.rowcount == 1

    def remove(self, job_id: str) -> bool:
        """Forget a job that has ended. Returns whether there was one."""
        with self._database.transaction() as db:
            changed = db.execute(f"DELETE FROM jobs WHERE id = ? AND NOT {ACTIVE}", (job_id,))
            return changed.rowcount == 1

    # For owners

    def claimable(self) -> list[Job]:
        """Jobs that are queued, and those that run, whose owners may be gone; the oldest first."""
        with self._database.reading() as db:
            if db is None:
                return []
            query = f"SELECT * FROM jobs WHERE {ACTIVE} ORDER BY number"
            jobs = map(rows.to_job, db.execute(query))
            return [job for job in jobs if job.state == "running" or self.lease_is_over(job)]

    def lease_is_over(self, job: Job) -> bool:
        """Whether the job may be claimed although its owner may not be gone."""
        return job.available_at <= self._clock()

    def claim(self, job: Job) -> Job | None:
        """The job with a claim of the caller; None if it has changed since, or is given up.

        A job that was claimed `max_attempts` times without a result is: it fails.
        """
        now = self._clock()
        with self._database.transaction() as db:
            row = db.execute(
                f"SELECT * FROM jobs WHERE number = ? AND claims = ? AND {ACTIVE}", (job.number, job.claims)
            ).fetchone()
            if row is None:
                return None
            if row["attempts"] >= self._max_attempts:
                rows.end(db, job, now, "failed", _given_up(row["attempts"]), 0, ACTIVE)
                return None
            return rows.update(
                db,
                job,
                ACTIVE,
                state="running",
                started=row["started"] or now,
                claims=row["claims"] + 1,
                attempts=row["attempts"] + 1,
                claimed_at=now,
                claimed_done=row["done"],
                available_at=now + self._lease_seconds,
            )

    def begin(self, job: Job, total: int, model: str) -> Job:
        """Record the number of files, and begin anew with this model. Raises ClaimLostError."""
        with self._database.transaction() as db:
            db.execute("DELETE FROM results WHERE job = ?", (job.number,))
            return rows.update(
                db, job, total=total, model=model, done=0, claimed_done=0, unreadable=0, pixels=0,
                available_at=self._clock() + self._lease_seconds,
            )  # fmt: skip

    def record(self, job: Job, results: list[FileResult], pixels: int) -> Job:
        """Record the results of the next files, and renew the lease. Raises ClaimLostError.

        pixels: of all pictures so far.
        """
        now = self._clock()
        with self._database.transaction() as db:
            recorded = rows.update(
                db,
                job,
                done=job.done + len(results),
                unreadable=job.unreadable + sum(result.error is not None for result in results),
                pixels=pixels,
                attempts=0,
                reason=None,
                updated=now,
                available_at=now + self._lease_seconds,
            )
            db.executemany(
                "INSERT INTO results VALUES (?, ?, ?, ?, ?, ?)",
                [(job.number, place, *result) for place, result in enumerate(results, job.done)],
            )
            return recorded

    def results(self, job: Job) -> list[FileResult]:
        """What is recorded, in the order of the files."""
        with self._database.reading() as db:
            if db is None:
                return []
            query = "SELECT path, prediction, out_of_domain, error FROM results WHERE job = ? ORDER BY place"
            return [FileResult(*row) for row in db.execute(query, (job.number,))]

    def finish(self, job: Job, size: int, publish: Callable[[], object]) -> None:
        """Call `publish` and record that the job is done. Raises ClaimLostError, or what `publish` raises.

        Nobody else can claim or cancel the job meanwhile. size: bytes that its result takes on the disk.
        """
        with self._database.transaction() as db:
            rows.end(db, job, self._clock(), "done", None, size)
            publish()

    def fail(self, job: Job, reason: dict[str, Any]) -> None:
        """Record that the job failed. reason: a problem (RFC 9457). Raises ClaimLostError."""
        with self._database.transaction() as db:
            rows.end(db, job, self._clock(), "failed", reason, 0)

    def release(self, job: Job, seconds: float = 0.0, reason: dict[str, Any] | None = None) -> None:
        """Give the job back, to be claimed again after `seconds`. Raises ClaimLostError."""
        encoded = reason and json.dumps(reason)
        with self._database.transaction() as db:
            rows.update(
                db, job, state="queued", attempts=0, reason=encoded, available_at=self._clock() + seconds
            )

    # For cleaning up

    def expire(self, seconds: float) -> list[str]:
        """Forget the jobs that ended more than `seconds` ago; their ids."""
        with self._database.transaction() as db:
            query = f"DELETE FROM jobs WHERE NOT {ACTIVE} AND finished < ? RETURNING id"
            return [row["id"] for row in db.execute(query, (self._clock() - seconds,)).fetchall()]

    def ended_ids(self) -> set[str]:
        """Of the jobs that have ended."""
        with self._database.reading() as db:
            query = f"SELECT id FROM jobs WHERE NOT {ACTIVE}"
            return {row["id"] for row in db.execute(query)} if db else set()

    def ids(self) -> set[str]:
        """Of all jobs."""
        with self._database.reading() as db:
            return {row["id"] for row in db.execute("SELECT id FROM jobs")} if db else set()


def _given_up(attempts: int) -> dict[str, Any]:
    return problem_object(
        500,
        "job-given-up",
        f"the worker died {attempts} times without getting on with this job; find the file that does this, "
        "and send the job without it",
    )
