"""Micro-batching: what many threads ask one by one is computed together."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import Empty, SimpleQueue
from typing import Generic, TypeVar

Q = TypeVar("Q")
A = TypeVar("A")


class QueueFullError(Exception):
    """There is no room for more questions now."""


class DeadlineError(Exception):
    """The answer did not come in time; what had not been begun will not be computed."""


@dataclass(frozen=True)
class Answers(Generic[A]):
    """values: one a question, in their order. queued, computed: seconds in the queue and in the engine."""

    values: list[A]
    queued: float
    computed: float


@dataclass(eq=False)
class _Job(Generic[Q, A]):
    questions: Sequence[Q]
    deadline: float
    asked: float
    woken: SimpleQueue[None] = field(default_factory=SimpleQueue)  # in C, where an Event is Python
    leads: bool = False
    answers: Answers[A] | None = None
    error: BaseException | None = None

    @property
    def done(self) -> bool:
        return self.answers is not None or self.error is not None


class Batcher(Generic[Q, A]):
    """One queue before `compute`, which is only ever called by one thread at a time.

    A thread that asks while nothing is computed computes at once, and hands the lead to one of those who
    came meanwhile: batches grow with the load, and nobody waits for company.

    compute: answers for 1 to `size` questions, told whether they are one caller's and nobody else waits.
    size: the most questions of a batch. room: the most questions that wait.
    """

    def __init__(
        self, compute: Callable[[list[Q], bool], Sequence[A]], size: int = 32, room: int = 1024
    ) -> None:
        self._compute = compute
        self.size = size
        self._room = room
        self._lock = threading.Lock()
        self._led = False
        self.waiting = 0
        # Single questions go before lists of several, but not twice in a row when a list waits.
        self._queues: tuple[deque[_Job[Q, A]], deque[_Job[Q, A]]] = (deque(), deque())
        self._lists_first = False

    def ask(self, questions: Sequence[Q], seconds: float = float("inf")) -> Answers[A]:
        """The answers to 1 to `size` questions, which are computed in one batch.

        Raises QueueFullError, DeadlineError after `seconds`, or what `compute` raised.
        """
        now = time.monotonic()
        job: _Job[Q, A] = _Job(questions, now + seconds, now)
        with self._lock:
            if self.waiting + len(questions) > self._room and self._led:
                raise QueueFullError
            self._queue(job).append(job)
            self.waiting += len(questions)
            if not self._led:
                self._led = job.leads = True
        if not job.leads:
            with suppress(Empty):
                job.woken.get(timeout=min(seconds, threading.TIMEOUT_MAX))
        while not self._over(job):
            self._lead(job)
        if job.error:
            raise job.error
        assert job.answers is not None
        return job.answers

    def _over(self, job: _Job[Q, A]) -> bool:
        """Whether nothing is left to be done by the thread that asked; it was woken, or its time is up."""
        with self._lock:
            if job.leads:
                return False
            if not job.done:
                job.error = DeadlineError()
                queue = self._queue(job)
                if job in queue:
                    queue.remove(job)
                    self.waiting -= len(job.questions)
            return True

    def _lead(self, leader: _Job[Q, A]) -> None:
        """Compute one batch; then the lead is another's, unless the leader's own question is still open."""
        with self._lock:
            batch = self._take()
        if batch:
            self._answer(batch)
        heir = None
        with self._lock:
            if leader.done:
                leader.leads = False
                heir = next((job for queue in self._queues for job in queue), None)
                self._led = heir is not None
                if heir:
                    heir.leads = True
        if heir:  # first, so that the next batch is computed while the others write their answers
            heir.woken.put(None)
        for job in batch:
            job.woken.put(None)

    def _take(self) -> list[_Job[Q, A]]:
        """The next batch: those whose time is not up, as many as fit. Called with the lock held."""
        singles, lists = self._queues
        batch: list[_Job[Q, A]] = []
        room, now = self.size, time.monotonic()
        for queue in (lists, singles) if self._lists_first else (singles, lists):
            while queue and (queue[0].deadline <= now or len(queue[0].questions) <= room):
                job = queue.popleft()
                self.waiting -= len(job.questions)
                if job.deadline <= now:
                    job.error = DeadlineError()
                    job.woken.put(None)
                else:
                    room -= len(job.questions)
                    batch.append(job)
        self._lists_first = bool(lists) and all(len(job.questions) == 1 for job in batch)
        return batch

    def _answer(self, batch: list[_Job[Q, A]]) -> None:
        begun = time.monotonic()
        try:
            questions = [question for job in batch for question in job.questions]
            values = list(self._compute(questions, len(batch) == 1 and not self.waiting))
        except BaseException as error:  # whoever leads, it is everyone's
            for job in batch:
                job.error = error
            return
        seconds = time.monotonic() - begun
        start = 0
        for job in batch:
            part = values[start : start + len(job.questions)]
            start += len(part)
            job.answers = Answers(part, begun - job.asked, seconds)

    def _queue(self, job: _Job[Q, A]) -> deque[_Job[Q, A]]:
        return self._queues[len(job.questions) > 1]
