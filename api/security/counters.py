"""Counters of requests in memory that all worker processes share."""

import hashlib
import math
import mmap
import multiprocessing
import os
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

ENTRY = struct.Struct("=QdQ")  # tag of the key, end of its period by time.monotonic(), count
PLACES = 8  # entries that a key may be in
SET_BYTES = PLACES * ENTRY.size
SETS = 1 << 13
HASH = struct.Struct("=QQ")
LOCK_SECONDS = 0.1


class SharedCounters:
    """A hash table of fixed size with 65,536 counters (1.5 MB).

    It is shared by processes that are forked after it was made, which no storage of the package `limits` is
    without a server of its own. Each count is exact, whichever processes count at once. Where more clients
    come within a period than there is room for, the counter is given up whose period ends first of the eight
    in the same set; that client then begins a new period. Times are by time.monotonic(), which is the same in
    all processes and does not jump.
    """

    def __init__(self) -> None:
        self._table = mmap.mmap(-1, SETS * SET_BYTES)
        self._secret = os.urandom(16)  # so that nobody can choose addresses which share an entry
        self._lock = multiprocessing.get_context("fork").Lock()

    def count(self, key: str, period: float) -> tuple[int, float]:
        """Count once in the key's period, or in a new one if that has ended.

        period: seconds from the first count. Returns the count, and the seconds until the period ends.
        """
        tag, start = self._find(key)
        with self._locked():
            now = time.monotonic()
            offset, end, count = self._entry(tag, start)
            if end <= now:
                end, count = now + period, 0
            ENTRY.pack_into(self._table, offset, tag, end, count + 1)
        return count + 1, end - now

    def reset(self) -> None:
        """Forget all keys."""
        self._table[:] = bytes(len(self._table))

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep other threads and processes out for some microseconds.

        Without a system call, unless somebody has to wait. A process that was killed in here leaves the lock
        taken: whoever waits for it in vain takes it over.
        """
        self._lock.acquire(timeout=LOCK_SECONDS)
        try:
            yield
        finally:
            with suppress(ValueError):  # it was taken over from this process, and is released already
                self._lock.release()

    def _find(self, key: str) -> tuple[int, int]:
        """The tag of a key, and the offset of the set of entries that it may be in."""
        hashed = hashlib.blake2b(key.encode("utf-8", "replace"), digest_size=16, key=self._secret).digest()
        tag, number = HASH.unpack(hashed)
        return tag, number % SETS * SET_BYTES

    def _entry(self, tag: int, start: int) -> tuple[int, float, int]:
        """Offset, end and count of the entry with the tag; or of the one that ends first, as if it had."""
        oldest, oldest_end = start, math.inf
        entries = ENTRY.iter_unpack(self._table[start : start + SET_BYTES])
        for offset, (found, end, count) in zip(
            range(start, start + SET_BYTES, ENTRY.size), entries, strict=True
        ):
            if found == tag:
                return offset, end, count
            if end < oldest_end:
                oldest, oldest_end = offset, end
        return oldest, 0.0, 0


COUNTERS = SharedCounters()
"""Those of this server. api/gunicorn.conf.py imports this module before the fork."""
