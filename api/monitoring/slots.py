"""Where the workers' metrics are kept, so that any of them can answer `/metrics` for all.

prometheus-client's multiprocess mode keeps the values of each process in files of its own. Here the files
belong to a slot: a worker that replaces a dead one takes its slot and counts on from its values, so that no
counter ever falls, and there are no more files and labels than workers at a time.

This module is imported before the fork and does not import prometheus-client, which reads
PROMETHEUS_MULTIPROC_DIR at its import.
"""

import fcntl
import os
import shutil
import tempfile
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from model.files import try_folder_lock

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "cifake-metrics-"

_lock: int  # file descriptor, open as long as a process of this server lives

# Values of this process that `flush` writes to the files of its slot.
_values: list[Any] = []
_flush_lock = threading.Lock()


def create_folder(parent: str | None) -> None:
    """Make an empty folder for the files, and name it to the workers. Called in the parent process.

    Removes those of servers that were killed: a folder is locked while a process of its server lives. parent:
    folder to make it in, which should be in memory; None: the system's for temporary files. Raises OSError.
    """
    global _lock
    for left in Path(parent or tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), try_folder_lock(left) as unused:  # fails if it is another user's
            if unused:
                shutil.rmtree(left)
    folder = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
    _lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(_lock, fcntl.LOCK_EX)
    os.environ[VARIABLE] = folder


def remove_folder() -> None:
    """Remove what `create_folder` made. Called in the parent process when it exits."""
    if folder := os.environ.pop(VARIABLE, None):
        shutil.rmtree(folder, ignore_errors=True)


def free_slot(taken: Iterable[int]) -> int:
    """The lowest number from 0 that no living worker has."""
    numbers = set(taken)
    return next(number for number in range(len(numbers) + 1) if number not in numbers)


def release_slot(slot: int) -> None:
    """Drop the gauges of a worker that has exited; its counters stay. Called in the parent process.

    Does what prometheus_client.multiprocess.mark_process_dead does.
    """
    for file in Path(os.environ[VARIABLE]).glob(f"gauge_live*_{slot}.db"):
        file.unlink()


def take_slot(slot: int) -> None:
    """Keep the values of this process in the files of a slot. Called in a worker, before metrics are made.

    They are added up in memory, and `flush` writes them: a write takes four times as long as an addition.
    """
    from prometheus_client import values

    stored_value = values.MultiProcessValue(lambda: slot)

    class SlotValue(values.MutexValue):
        _multiprocess = True

        def __init__(self, *arguments: Any, **named: Any) -> None:
            super().__init__(*arguments, **named)
            self._stored = stored_value(*arguments, **named)
            self._value = self._stored.get()  # where the slot's previous worker left off
            _values.append(self)

        def flush(self) -> None:
            value = self.get()
            if value != self._stored.get():
                self._stored.set(value)

    values.ValueClass = SlotValue


def flush() -> None:
    """Write the values that have changed."""
    with _flush_lock:  # else an older value could overwrite a newer one
        for value in list(_values):
            value.flush()
