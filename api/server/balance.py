"""Spreads new connections evenly over the worker processes.

All workers accept from the same listening socket. A worker that has more connections than another waits
briefly before it accepts the next one, as Puma does (`wait_for_less_busy_worker`).
"""

import mmap

# Memory shared by all workers, because it is created before the fork: a byte per worker, 0 until its model is
# loaded, then 1 + its number of connections, capped at 255.
COUNTS = mmap.mmap(-1, 4096)
YIELD_SECONDS = 0.002


class ConnectionBalancer:
    """Publishes one worker's connection count and reads those of the others.

    worker_number: the worker's index, from gunicorn's `age`.
    """

    def __init__(self, worker_number: int) -> None:
        self._slot = worker_number % len(COUNTS)
        self._yield_until = 0.0

    def publish(self, connections: int) -> None:
        """Set this worker's number of connections; its model must be loaded."""
        COUNTS[self._slot] = 1 + min(254, connections)

    def withdraw(self) -> None:
        """Remove this worker after it has exited."""
        COUNTS[self._slot] = 0

    @staticmethod
    def fewest_connections() -> int | None:
        """The smallest number of connections of a worker with a loaded model; None if there is none."""
        counts = COUNTS[:].replace(b"\0", b"")
        return min(counts) - 1 if counts else None

    def should_accept(self, connections: int, now: float) -> bool:
        """Whether a worker with this many connections accepts the next one; if not, it yields briefly.

        The first call after yielding always returns True, in case the other workers are stuck.
        """
        fewest = self.fewest_connections()
        if self._yield_until or fewest is None or connections <= fewest + 1:
            self._yield_until = 0.0
            return True
        self._yield_until = now + YIELD_SECONDS
        return False

    def is_yielding(self, now: float) -> bool:
        """Whether new connections are left to other workers at `now`, by time.monotonic()."""
        return now < self._yield_until
