"""Micro-batching: what many threads ask one by one is computed together."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class QueueFullError(Exception):
    """There is no room for more items now."""


class DeadlineError(Exception):
    """The answer did not come in time; what had not been begun will not be computed."""


@dataclass(frozen=True)
class Answers(Generic[A]):
    """values: one a item, in their order. queued, computed: seconds in the queue and in the engine."""

    values: list[A]
    queued: float
    computed: float


class _Job(Generic[Q, A]):
    """What one caller asks, and what became of it: `answers` or `error`."""

    def __init__(self, items: Sequence[Q], seconds: float) -> None:
        self.items = items
        self.submitted = time.monotonic()
        self.deadline = self.submitted + seconds
        self.answers: Answers[A] | None = None
        self.error: BaseException | None = None
        self._over = threading.Lock()  # held until the job is over; a lock is the cheapest event
        self._over.acquire()

    def finish(self) -> None:
        """Wake the caller. Called once."""
        self._over.release()

    def wait(self) -> bool:
        """Whether the job was over before its deadline."""
        seconds = min(max(0.0, self.deadline - time.monotonic()), threading.TIMEOUT_MAX)
        return self._over.acquire(timeout=seconds)

    def result(self) -> Answers[A]:
        if self.error is not None:
            raise self.error
        assert self.answers is not None
        return self.answers


class Batcher(Generic[Q, A]):
    """One queue before `compute`, which is only ever called by one thread at a time.

    A thread that submits while nothing is computed computes at once, in itself. What is submitted meanwhile
    waits for a thread of the batcher's own, which takes as many together as fit: batches grow with the load,
    and nobody waits for company. A caller that gives up takes its items along; it owes the others nothing.

    compute: answers for 1 to `size` items, told whether they are one caller's and nobody else waits.
    size: the most items of a batch. max_queue: the most single items that wait. Lists of items wait
    however many there are: each is a part of a longer list, whose caller asks for the next part only then.
    """

    def __init__(
        self, compute: Callable[[list[Q], bool], Sequence[A]], size: int = 32, max_queue: int = 1024
    ) -> None:
        self._compute = compute
        self.size = size
        self._max_queue = max_queue
        # Holds for all that follows; waited on by the batcher's thread alone.
        self._changed = threading.Condition(threading.Lock())
        self._busy = False
        self._thread: threading.Thread | None = None
        # Single items go before lists of several, but not twice in a row when a list waits.
        self._queues: tuple[deque[_Job[Q, A]], deque[_Job[Q, A]]] = (deque(), deque())
        self._lists_first = False

    @property
    def waiting(self) -> int:
        """Questions that wait."""
        with self._changed:
            return sum(len(job.items) for queue in self._queues for job in queue)

    def submit(self, items: Sequence[Q], seconds: float = math.inf) -> Answers[A]:
        """The answers to 1 to `size` items, which are computed in one batch.

        Raises QueueFullError, DeadlineError after `seconds`, what `compute` raised, or ValueError for more
        items than fit in a batch, or none.
        """
        if not 1 <= len(items) <= self.size:
            raise ValueError(f"a batch has 1 to {self.size} items, not {len(items)}")
        if not seconds > 0:  # late already; NaN is not a time either
            raise DeadlineError
        job: _Job[Q, A] = _Job(items, seconds)
        queue = self._queues[len(items) > 1]
        with self._changed:
            at_once = not self._busy and not any(self._queues)
            if at_once:
                self._busy = True
            elif len(items) == 1 and len(queue) >= self._max_queue:
                raise QueueFullError
            else:
                queue.append(job)
                self._start_thread()
                if not self._busy:  # else whoever computes will notify
                    self._changed.notify()
        if at_once:
            try:
                self._answer([job])
            finally:
                self._end()
        elif not job.wait():
            with self._changed:
                if job in queue:  # else it is being computed, for nobody
                    queue.remove(job)
            raise DeadlineError
        return job.result()

    def _start_thread(self) -> None:
        """Called with the lock held. Only when first needed, since a thread does not survive a fork."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Compute what waits, batch by batch, for ever."""
        while True:
            batch: list[_Job[Q, A]] = []
            with self._changed:
                while self._busy or not any(self._queues):
                    self._changed.wait()
                self._busy = True
                self._take(batch)
            self._answer(batch)
            self._end()
            for job in batch:
                job.finish()

    def _end(self) -> None:
        """The engine is free: the batcher's thread goes on if something waits."""
        with self._changed:
            self._busy = False
            if any(self._queues):
                self._changed.notify()

    def _take(self, batch: list[_Job[Q, A]]) -> None:
        """Fill the next batch: those whose time is not up, as many as fit. Called with the lock held."""
        singles, lists = self._queues
        room, now = self.size, time.monotonic()
        for queue in (lists, singles) if self._lists_first else (singles, lists):
            while queue and (queue[0].deadline <= now or len(queue[0].items) <= room):
                job = queue.popleft()
                if job.deadline <= now:
                    job.error = DeadlineError()
                    job.finish()
                else:
                    room -= len(job.items)
                    batch.append(job)
        self._lists_first = bool(lists) and all(len(job.items) == 1 for job in batch)

    def _answer(self, batch: list[_Job[Q, A]]) -> None:
        """Give each job of the batch its answers, or all of them the error that `compute` raised."""
        begun = time.monotonic()
        try:
            items = [item for job in batch for item in job.items]
            if not items:  # all of them were late
                return
            alone = len(batch) == 1 and not any(self._queues)
            values = list(self._compute(items, alone))
            if len(values) != len(items):
                raise ValueError(f"{len(items)} items were given {len(values)} answers")
        except BaseException as error:  # of whoever computes, it is everyone's
            for job in batch:
                job.error = error
            return
        seconds = time.monotonic() - begun
        start = 0
        for job in batch:
            part = values[start : start + len(job.items)]
            start += len(part)
            job.answers = Answers(part, begun - job.submitted, seconds)
