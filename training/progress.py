"""Progress of long work, on standard error: a bar with the time left on a terminal, else a line a minute."""

import sys
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Generic, Protocol, TypeVar

DELAY = 0.5  # seconds before a bar appears: what is quicker needs none
LINE_SECONDS = 60.0

T = TypeVar("T")

_shown: list[Any] = []


class Progress(Protocol):
    """Work that is counted."""

    def advance(self, count: int = 1, note: str = "") -> None:
        """`count` more are done. note: a few words beside the bar, such as the loss."""


@contextmanager
def progress(description: str, total: int, units: str = "pictures") -> Iterator[Progress]:
    """Work of `total` units, which the block tells to `advance`. Standard output gets nothing of it."""
    if not sys.stderr.isatty():
        yield _Lines(description, total, units)
        return
    from tqdm import tqdm  # its import takes a tenth of a second

    with tqdm(
        desc=description, total=total, unit=f" {units}", delay=DELAY, leave=False, dynamic_ncols=True
    ) as bar:
        _shown.append(bar)
        try:
            yield _Bar(bar)
        finally:
            _shown.remove(bar)


class Tracked(Generic[T]):
    """Items, each counted when the next one is asked for. note: a few words beside the bar."""

    def __init__(self, items: Iterable[T], description: str, total: int, units: str) -> None:
        self.note = ""
        self._items, self._description, self._total, self._units = items, description, total, units

    def __iter__(self) -> Iterator[T]:
        with progress(self._description, self._total, self._units) as work:
            for item in self._items:
                yield item
                work.advance(1, self.note)


def track(items: Collection[T], description: str, units: str = "pictures") -> Tracked[T]:
    """The items with their progress."""
    return Tracked(items, description, len(items), units)


def slices(count: int, size: int, description: str) -> Iterator[slice]:
    """Slices of `size` that cover `count` pictures in order, counted by picture; the last may be shorter."""
    with progress(description, count) as work:
        for start in range(0, count, size):
            stop = min(start + size, count)
            yield slice(start, stop)
            work.advance(stop - start)


def write(text: str) -> None:
    """Print to standard output, above the bars that are shown."""
    if sys.stderr.isatty():
        from tqdm import tqdm

        tqdm.write(text)
        sys.stdout.flush()
    else:
        print(text, flush=True)


def clear() -> None:
    """Take the bars off the terminal, of work that an error ended, before the error is told."""
    for bar in _shown:
        bar.close()


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar

    def advance(self, count: int = 1, note: str = "") -> None:
        if note:
            self._bar.set_postfix_str(note, refresh=False)
        self._bar.update(count)


class _Lines:
    """For logs."""

    def __init__(self, description: str, total: int, units: str) -> None:
        self._description, self._total, self._units = description, total, units
        self._done = 0
        self._start = self._told = time.monotonic()

    def advance(self, count: int = 1, note: str = "") -> None:
        self._done += count
        now = time.monotonic()
        if now - self._told < LINE_SECONDS or not self._done:
            return
        self._told = now
        left = (now - self._start) / self._done * (self._total - self._done) / 60
        text = f"{self._description}: {self._done} of {self._total} {self._units}, about {left:.0f} min left"
        print(f"{text}, {note}" if note else text, file=sys.stderr, flush=True)
