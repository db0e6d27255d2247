"""A deterministic scheduler: threads that run one at a time, and a seed that decides which goes on.

It stands in for `threading` and `time` in a module under test. Threads give way at each operation on a lock,
so that a seed is one interleaving and a thousand seeds are a thousand. Time passes only when all threads
wait.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

REAL_THREAD, REAL_SEMAPHORE = threading.Thread, threading.Semaphore
LIMIT = 20_000  # steps after which a run is taken to go round in circles


class DeadlockError(AssertionError):
    """All threads wait for one another, and none for time."""


class _Task:
    def __init__(self, run: Callable[[], object], daemon: bool) -> None:
        self.run, self.daemon = run, daemon
        self.turn = REAL_SEMAPHORE(0)
        self.blocked: Callable[[], bool] | None = None  # what it waits for; None where it can go on
        self.until = float("inf")
        self.over = False
        self.error: BaseException | None = None


class Scheduler:
    """Runs tasks to their end. `threading` and `time` of a module under test are replaced by it."""

    TIMEOUT_MAX = 1e9

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.now = 1.0
        self.tasks: list[_Task] = []
        self.current: _Task | None = None
        self.back = REAL_SEMAPHORE(0)
        self.stopping = False

    def monotonic(self) -> float:
        return self.now

    def spawn(self, run: Callable[[], object], daemon: bool = False) -> _Task:
        task = _Task(run, daemon)
        self.tasks.append(task)

        def body() -> None:
            task.turn.acquire()
            try:
                if not self.stopping:
                    run()
            except BaseException as error:
                task.error = error
            task.over = True
            self.back.release()

        REAL_THREAD(target=body, daemon=True).start()
        return task

    def run(self) -> None:
        """Until every task but the daemons is over. Raises what a task raised, or DeadlockError."""
        try:
            for _ in range(LIMIT):
                open_ = [task for task in self.tasks if not task.over]
                if all(task.daemon for task in open_):
                    return
                ready = [
                    task for task in open_ if task.blocked is None or task.blocked() or task.until <= self.now
                ]
                if not ready:
                    self.now = min(task.until for task in open_)
                    if self.now == float("inf"):
                        raise DeadlockError(f"{len(open_)} threads wait for ever")
                    continue
                self.current = self.random.choice(ready)
                self.current.turn.release()
                self.back.acquire()
                if self.current.error is not None and not isinstance(self.current.error, SystemExit):
                    raise self.current.error
            raise DeadlockError("the threads go round in circles")
        finally:
            self.stopping = True
            for task in self.tasks:
                if not task.over:
                    task.turn.release()
                    self.back.acquire()

    def wait(self, until_true: Callable[[], bool] | None = None, seconds: float = float("inf")) -> bool:
        """Give way; go on once the condition holds, True, or the time is up, False."""
        task = self.current
        assert task is not None
        task.blocked, task.until = until_true, self.now + seconds if until_true else float("inf")
        self.back.release()
        task.turn.acquire()
        task.blocked, task.until = None, float("inf")
        if self.stopping:
            raise SystemExit
        return until_true is None or until_true()

    # What `threading` has

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
        if self._scheduler.current is None:  # before the tasks run
            self._held = True
            return True
        if not self._scheduler.stopping:
            self._scheduler.wait()
        if self._scheduler.wait(lambda: not self._held, timeout):
            self._held = True
            return True
        return False

    def release(self) -> None:
        assert self._held, "released by one that does not hold it"
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
        told = [False]
        self._waiting.append(told)
        self._lock.release()
        self._scheduler.wait(lambda: told[0])
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
        return self._task is not None and not self._task.over
