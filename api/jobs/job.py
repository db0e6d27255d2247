"""A job's record."""

from dataclasses import dataclass
from typing import Any, Literal

from api.batches.options import BatchOptions

State = Literal["queued", "running", "done", "failed", "cancelled"]


@dataclass(frozen=True)
class Job:
    """One row of the store; times are by time.time().

    number: jobs are numbered in the order of their creation. total: files, None before they were counted.
    done: files that have a result in the store, readable or not. pixels: of all pictures of these.
    model: digest of the checkpoint that they are of. reason: a problem (RFC 9457) that the job failed with,
    or, while it is queued or running, that it waits for. claims: how often the job was claimed, which tells
    the newest claim from older ones. attempts: claims since a result was last recorded. available_at: before
    it, a queued job is not claimed, and a running one only if its owner is gone. claimed_at, claimed_done:
    time of the newest claim, and `done` then. updated: time of the last result.
    """

    number: int
    id: str
    options: BatchOptions
    state: State
    created: float
    started: float | None
    finished: float | None
    total: int | None
    done: int
    unreadable: int
    pixels: int
    model: str | None
    reason: dict[str, Any] | None
    claims: int
    attempts: int
    available_at: float
    claimed_at: float | None
    claimed_done: int
    updated: float | None

    @property
    def active(self) -> bool:
        """Whether it is queued or running."""
        return self.state in ("queued", "running")

    @property
    def seconds_left(self) -> float | None:
        """At the rate since the newest claim; None if the job does not run or has no result since."""
        scored = self.done - self.claimed_done
        if self.state != "running" or self.total is None or scored <= 0:
            return None
        assert self.updated is not None
        assert self.claimed_at is not None
        return max(0.0, self.total - self.done) * max(0.0, self.updated - self.claimed_at) / scored
