"""Atomic writes, and locks on folders."""

import errno
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def atomic_write(path: Path, mode: int = 0o644) -> Iterator[IO[bytes]]:
    """A temporary file beside `path` that replaces it at the end of the block, unless that raises.

    Its content is on the disk by then, so that a loss of power leaves the old file or the whole new one.
    Creates missing folders. mode: the new file's permissions.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(handle)
        os.chmod(temporary, mode)  # mkstemp creates it with 0o600
        os.replace(temporary, path)
    except BaseException as error:
        Path(temporary).unlink(missing_ok=True)
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            error.filename = str(path)  # it names no file
        raise


def remove_partial_files(folder: Path, seconds: float) -> None:
    """Remove what `atomic_write` left in a folder when its process was killed, if it is this old."""
    for path in folder.glob(".????????.part"):  # as mkstemp names it
        with suppress(OSError):  # another process was faster, or it is another user's
            if path.stat().st_mtime < time.time() - seconds:
                path.unlink()


def sync_folder(folder: Path) -> None:
    """Wait until the names of the files in a folder are on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """An exclusive lock on a folder, among threads and processes. Creates missing folders."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def try_folder_lock(folder: Path) -> Iterator[bool]:
    """Whether nobody else has the lock on a folder; then the block has it. It is gone with its process.

    Raises OSError for what is no folder, or a link to one.
    """
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(handle)


def check_writable(folder: Path) -> None:
    """Raise OSError unless files can be created in the folder, which need not exist yet."""
    while not folder.exists() and folder != folder.parent:
        folder = folder.parent
    tempfile.TemporaryFile(dir=folder).close()
