"""New connections are spread over the workers.

All of them wait for the same listening socket, and whoever wakes first would take all of a burst: one worker
would then compute what all of them should. So one that has more connections than another leaves the next to
it for a moment, as Puma's `wait_for_less_busy_worker` does.
"""

import mmap

# A byte for each worker, shared by all of them because it is made before they fork: 0 until it has loaded
# its model, then one more than its connections, as far as a byte counts.
COUNTS = mmap.mmap(-1, 4096)
YIELD_SECONDS = 0.002


class Balance:
    """What one worker tells the others, and knows of them. number: which of all workers it is."""

    def __init__(self, number: int) -> None:
        self._slot = number % len(COUNTS)
        self._until = 0.0

    def publish(self, connections: int) -> None:
        """This worker has its model, and so many connections."""
        COUNTS[self._slot] = 1 + min(254, connections)

    def withdraw(self) -> None:
        """This worker has ended."""
        COUNTS[self._slot] = 0

    @staticmethod
    def fewest() -> int | None:
        """The fewest connections that a worker with a model has; None where there is no such worker."""
        counts = COUNTS[:].replace(b"\0", b"")
        return min(counts) - 1 if counts else None

    def accepts(self, connections: int, now: float) -> bool:
        """Whether a worker with so many connections takes the next one; else it is `yielding` for a moment.

        After that it takes one in any case: another worker may be stuck.
        """
        fewest = self.fewest()
        if self._until or fewest is None or connections <= fewest + 1:
            self._until = 0.0
            return True
        self._until = now + YIELD_SECONDS
        return False

    def yielding(self, now: float) -> bool:
        """Whether the next connection is left to others now, by time.monotonic()."""
        return now < self._until
