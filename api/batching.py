"""Dynamic batching: items submitted by concurrent threads are computed together."""

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")
Output = TypeVar("Output")

BUSY_SECONDS = 1.0  # so long after a single item more of them are expected


class QueueFullError(Exception):
    """The queue has reached its maximum size."""


class DeadlineExceededError(Exception):
    """The result was not ready in time; items that were still queued are not computed."""


@dataclass(frozen=True)
class BatchResult(Generic[Output]):
    """values: one per item, in order. queue_seconds, compute_seconds: time in the queue and in `compute`."""

    values: list[Output]
    queue_seconds: float
    compute_seconds: float


class _Job(Generic[Item, Output]):
    """The items of one caller, and their `output` or `error` once it is finished."""

    def __init__(self, items: Sequence[Item], timeout: float, background: bool) -> None:
        self.items, self.background = items, background
        self.submitted_at = time.monotonic()
        self.deadline = self.submitted_at + timeout
        self.output: BatchResult[Output] | None = None
        self.error: BaseException | None = None
        self._running = threading.Lock()  # held until the job is finished; faster than threading.Event
        self._running.acquire()

    def finish(self) -> None:
        """Wake the caller. Called once."""
        self._running.release()

    def wait(self) -> bool:
        """Whether the job finished before its deadline."""
        timeout = min(max(0.0, self.deadline - time.monotonic()), threading.TIMEOUT_MAX)
        return self._running.acquire(timeout=timeout)

    def result(self) -> BatchResult[Output]:
        if self.error is not None:
            raise self.error
        assert self.output is not None
        return self.output


class Batcher(Generic[Item, Output]):
    """Queues items in front of `compute`, which is never called by two threads at once.

    If nothing is being computed, `submit` calls `compute` in its own thread. Otherwise the items are queued,
    and the batcher's thread computes as many of them together as fit in a batch: batches grow with the load,
    without a batching delay. A caller whose deadline passes removes its items from the queue. Background
    items are computed when nothing else is queued, and by themselves.

    compute: returns the outputs of 1 to `max_batch_size` items; its second argument is True if the batch has
    one caller and the queue is empty, unless it is of the background while single items come. max_queue_size:
    limit of queued single items. Lists of several items are not limited: their callers, such as /batch,
    submit one list at a time.
    """

    def __init__(
        self,
        compute: Callable[[list[Item], bool], Sequence[Output]],
        max_batch_size: int = 32,
        max_queue_size: int = 1024,
    ) -> None:
        self._compute = compute
        self.max_batch_size = max_batch_size
        self._max_queue_size = max_queue_size
        # Guards all attributes below. Only the batcher's thread waits on it.
        self._changed = threading.Condition(threading.Lock())
        self._busy = False
        self._last_single_at = -math.inf
        self._thread: threading.Thread | None = None
        # Single items, lists of several, and those of the background. Single items go first, but not twice in
        # a row if a list waits.
        self._queues: tuple[deque[_Job[Item, Output]], ...] = (deque(), deque(), deque())
        self._lists_first = False

    @property
    def queued_items(self) -> int:
        """Number of items in the queue."""
        with self._changed:
            return sum(len(job.items) for queue in self._queues for job in queue)

    @property
    def serves_singles(self) -> bool:
        """Whether a single item was submitted within the last BUSY_SECONDS."""
        return time.monotonic() < self._last_single_at + BUSY_SECONDS

    def submit(
        self, items: Sequence[Item], timeout: float = math.inf, background: bool = False
    ) -> BatchResult[Output]:
        """The outputs of 1 to `max_batch_size` items, which are computed in one batch.

        background: wait until nothing else is queued.

        Raises QueueFullError, DeadlineExceededError after `timeout` seconds, any error of `compute`, or
        ValueError for no items or too many.
        """
        if not 1 <= len(items) <= self.max_batch_size:
            raise ValueError(f"a batch has 1 to {self.max_batch_size} items, not {len(items)}")
        if not timeout > 0:  # True for NaN too
            raise DeadlineExceededError
        job: _Job[Item, Output] = _Job(items, timeout, background)
        single = len(items) == 1 and not background
        queue = self._queues[2 if background else len(items) > 1]
        with self._changed:
            if single:
                self._last_single_at = job.submitted_at
            run_inline = not self._busy and not any(self._queues)
            if run_inline:
                self._busy = True
            elif single and len(queue) >= self._max_queue_size:
                raise QueueFullError
            else:
                queue.append(job)
                self._start_thread()
                if not self._busy:  # else the computing thread notifies when it is done
                    self._changed.notify()
        if run_inline:
            try:
                self._compute_batch([job])
            finally:
                self._set_idle()
        elif not job.wait():
            with self._changed:
                if job in queue:  # else it is being computed, and the result is dropped
                    queue.remove(job)
            raise DeadlineExceededError
        return job.result()

    def _start_thread(self) -> None:
        """Start the thread on first use, because threads do not survive a fork. Called with the lock held."""
        if self._thread is None or not self._thread.is_alive():
            self._thread = threading.Thread(target=self._run, name="batcher", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        """Compute queued jobs batch by batch, forever."""
        while True:
            batch: list[_Job[Item, Output]] = []
            with self._changed:
                while self._busy or not any(self._queues):
                    self._changed.wait()
                self._busy = True
                self._fill(batch)
            self._compute_batch(batch)
            self._set_idle()
            for job in batch:
                job.finish()

    def _set_idle(self) -> None:
        """`compute` has returned: wake the batcher's thread if jobs are queued."""
        with self._changed:
            self._busy = False
            if any(self._queues):
                self._changed.notify()

    def _fill(self, batch: list[_Job[Item, Output]]) -> None:
        """Move jobs that fit from the queues to `batch`; fail expired ones. Called with the lock held."""
        singles, lists, background = self._queues
        capacity, now = self.max_batch_size, time.monotonic()
        for queue in (lists, singles, background) if self._lists_first else (singles, lists, background):
            if queue is background and batch:
                break
            while queue and (queue[0].deadline <= now or len(queue[0].items) <= capacity):
                job = queue.popleft()
                if job.deadline <= now:
                    job.error = DeadlineExceededError()
                    job.finish()
                else:
                    capacity -= len(job.items)
                    batch.append(job)
        self._lists_first = bool(lists) and all(len(job.items) == 1 for job in batch)

    def _compute_batch(self, batch: list[_Job[Item, Output]]) -> None:
        """Set the output of each job, or the error that `compute` raised."""
        started_at = time.monotonic()
        try:
            items = [item for job in batch for item in job.items]
            if not items:  # all jobs had expired
                return
            uncontended = len(batch) == 1 and not any(self._queues)
            # While single items come here, one may come to another process too.
            uncontended &= not (batch[0].background and self.serves_singles)
            values = list(self._compute(items, uncontended))
            if len(values) != len(items):
                raise ValueError(f"compute returned {len(values)} outputs for {len(items)} items")
        except BaseException as error:  # every caller of the batch raises it
            for job in batch:
                job.error = error
            return
        seconds = time.monotonic() - started_at
        start = 0
        for job in batch:
            part = values[start : start + len(job.items)]
            start += len(part)
            job.output = BatchResult(part, started_at - job.submitted_at, seconds)
