"""A deterministic scheduler for tests of concurrent code: one thread runs at a time, chosen by a seeded RNG.

It replaces `threading` and `time` in the module under test. Threads yield at each lock operation, so that
each seed gives one reproducible interleaving. The clock advances only when all threads are blocked.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

REAL_THREAD, REAL_SEMAPHORE = threading.Thread, threading.Semaphore
MAX_STEPS = 20_000  # more are taken for a livelock


class DeadlockError(AssertionError):
    """All threads are blocked, and none has a timeout."""


class _Task:
    def __init__(self, run: Callable[[], object], daemon: bool) -> None:
        self.run, self.daemon = run, daemon
        self.resume = REAL_SEMAPHORE(0)
        self.blocked: Callable[[], bool] | None = None  # the condition it waits for; None if runnable
        self.wake_at = float("inf")
        self.finished = False
        self.error: BaseException | None = None


class Scheduler:
    """Runs tasks until they finish. It replaces `threading` and `time` of a module under test."""

    TIMEOUT_MAX = 1e9

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1.0
        self.tasks: list[_Task] = []
        self.current: _Task | None = None
        self.yielded = REAL_SEMAPHORE(0)
        self.stopping = False

    def monotonic(self) -> float:
        return self.now

    def spawn(self, run: Callable[[], object], daemon: bool = False) -> _Task:
        task = _Task(run, daemon)
        self.tasks.append(task)

        def body() -> None:
            task.resume.acquire()
            try:
                if not self.stopping:
                    run()
            except BaseException as error:
                task.error = error
            task.finished = True
            self.yielded.release()

        REAL_THREAD(target=body, daemon=True).start()
        return task

    def run(self) -> None:
        """Run until all tasks but daemons have finished. Raises the error of a task, or DeadlockError."""
        try:
            for _ in range(MAX_STEPS):
                unfinished = [task for task in self.tasks if not task.finished]
                if all(task.daemon for task in unfinished):
                    return
                ready = [
                    task
                    for task in unfinished
                    if task.blocked is None or task.blocked() or task.wake_at <= self.now
                ]
                if not ready:
                    self.now = min(task.wake_at for task in unfinished)
                    if self.now == float("inf"):
                        raise DeadlockError(f"{len(unfinished)} threads wait forever")
                    continue
                self.current = self.random.choice(ready)
                self.current.resume.release()
                self.yielded.acquire()
                if self.current.error is not None and not isinstance(self.current.error, SystemExit):
                    raise self.current.error
            raise DeadlockError("livelock: too many steps")
        finally:
            self.stopping = True
            for task in self.tasks:
                if not task.finished:
                    task.resume.release()
                    self.yielded.acquire()

    def wait(self, condition: Callable[[], bool] | None = None, timeout: float = float("inf")) -> bool:
        """Yield until the condition holds, True, or the timeout expires, False."""
        task = self.current
        assert task is not None
        task.blocked, task.wake_at = condition, self.now + timeout if condition else float("inf")
        self.yielded.release()
        task.resume.acquire()
        task.blocked, task.wake_at = None, float("inf")
        if self.stopping:
            raise SystemExit
        return condition is None or condition()

    # The interface of `threading`

    def Lock(self) -> "Lock":  # noqa: N802
        return Lock(self)

    def Condition(self, lock: "Lock") -> "Condition":  # noqa: N802
        return Condition(self, lock)

    def Thread(self, target: Callable[[], object], name: str, daemon: bool) -> "Thread":  # noqa: N802
        return Thread(self, target, daemon)


class Lock:
    def __init__(self, scheduler: Scheduler) -> None:
        self._scheduler, self._held = scheduler, False

    def acquire(self, timeout: float = float("inf")) -> bool:
        if self._scheduler.current is None:  # before `run`
            self._held = True
            return True
        if not self._scheduler.stopping:
            self._scheduler.wait()
        if self._scheduler.wait(lambda: not self._held, timeout):
            self._held = True
            return True
        return False

    def release(self) -> None:
        assert self._held, "release of an unlocked lock"
        self._held = False

    def __enter__(self) -> None:
        self.acquire()

    def __exit__(self, *_: Any) -> None:
        self._held = False


class Condition:
    def __init__(self, scheduler: Scheduler, lock: Lock) -> None:
        self._scheduler, self._lock = scheduler, lock
        self._waiting: list[list[bool]] = []

    def __enter__(self) -> None:
        self._lock.acquire()

    def __exit__(self, *_: Any) -> None:
        self._lock._held = False

    def wait(self) -> None:
        notified = [False]
        self._waiting.append(notified)
        self._lock.release()
        self._scheduler.wait(lambda: notified[0])
        self._lock.acquire()

    def notify(self) -> None:
        if self._waiting:
            self._waiting.pop(0)[0] = True


class Thread:
    def __init__(self, scheduler: Scheduler, target: Callable[[], object], daemon: bool) -> None:
        self._scheduler, self._target, self._daemon = scheduler, target, daemon
        self._task: _Task | None = None

    def start(self) -> None:
        self._task = self._scheduler.spawn(self._target, self._daemon)

    def is_alive(self) -> bool:
        return self._task is not None and not self._task.finished
