"""What the readers of all kinds of archive share: limits, checks of a member, and whose fault an error is."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import IO, Protocol

from api.errors import BadRequestProblem, BrokenProblem, Problem, TooLargeProblem

ZIP_MAGIC, GZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b"
NESTED_MAGIC = (*ZIP_MAGIC, GZIP_MAGIC, b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ", b"BZh")
# What file managers leave in archives without being asked.
LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}
PIECE = 1 << 16  # bytes that are read or unpacked between two looks at the clock
# The only errors of the system that bytes can cause: by an offset before the file or too far behind it.
_BY_BYTES = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True)
class ArchiveLimits:
    """files: entries; file_bytes: of one entry, unpacked; unpacked_bytes: of all entries together."""

    files: int
    file_bytes: int
    unpacked_bytes: int

    @property
    def entries(self) -> int:
        """Entries of any kind: folders and litter are entries too."""
        return 2 * self.files


class Archive(Protocol):
    """An archive whose files can be gone through more than once."""

    def members(self, most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """(name, bytes) of each file, the name without its folders; folders and litter are passed over.

        With `most` only the first `most` bytes of each are unpacked. One at a time is held in memory.
        Raises Problem, 400, 413, 415 or 422, and TimeoutError past the deadline.
        """
        ...


@contextmanager
def client_bytes() -> Iterator[None]:
    """Around calls of a library on what a client sent: its exceptions are BrokenProblem.

    Not those of the machine, such as a full disk or a broken one, too many open files, or too little memory.
    """
    try:
        yield
    except _MachineError as error:
        raise error.error from None
    except (Problem, TimeoutError, MemoryError):
        raise
    except Exception as error:
        if _is_machines(error):
            raise
        raise BrokenProblem(damaged(str(error) or type(error).__name__)) from error


def _is_machines(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno not in _BY_BYTES


class _MachineError(Exception):
    """In the place of an OSError, which `zipfile` would take for a sign of damage."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def damaged(reason: str) -> str:
    """The message of a BrokenProblem."""
    return f"the archive is cut short or damaged: {reason}"


def check_time(deadline: float) -> None:
    """Raises TimeoutError past `deadline`, in seconds of time.monotonic()."""
    if time.monotonic() > deadline:
        raise TimeoutError("the archive was not read in time")


class Bounded:
    """A file for a library to read: not past the deadline, and no more at once than `most` bytes."""

    def __init__(self, file: IO[bytes], most: int, deadline: float) -> None:
        self._file, self._most, self._deadline = file, most, deadline
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        check_time(self._deadline)
        if size > self._most:
            raise TooLargeProblem(f"the archive has a header of {size} bytes; {self._most} are allowed")
        try:
            data = self._file.read(size if size >= 0 else self._most + 1)
        except OSError as error:
            raise (_MachineError(error) if _is_machines(error) else error) from error
        if len(data) > self._most:
            raise TooLargeProblem(f"the archive has a header of more than the {self._most} bytes allowed")
        return data

    def seekable(self) -> bool:
        return True


def check_name(name: str) -> None:
    """Raises BadRequestProblem for a path that leads out of its folder."""
    path = PureWindowsPath(name)  # takes both slashes, and knows drives
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        raise BadRequestProblem(f"the archive holds the unsafe path {name!r}; pack it with plain names")


def check_size(name: str, size: int, limits: ArchiveLimits) -> None:
    """Raises TooLargeProblem for a file larger than a picture may be."""
    if size > limits.file_bytes:
        raise TooLargeProblem(
            f"{name!r} in the archive has more than the {limits.file_bytes} bytes a picture may have"
        )


def is_litter(name: str) -> bool:
    """Whether the file is none of the user's."""
    path = PureWindowsPath(name)
    return bool(LITTER.intersection(path.parts)) or path.name.startswith(".")


def as_member(name: str, data: bytes) -> tuple[str, bytes]:
    """The name without its folders, and the bytes. Raises BadRequestProblem for an archive."""
    if data.startswith(NESTED_MAGIC) or data[257:262] == b"ustar":
        raise BadRequestProblem(f"{name!r} is an archive within the archive; pack the pictures themselves")
    return PureWindowsPath(name).name, data


def too_many(limits: ArchiveLimits) -> TooLargeProblem:
    """More entries than a batch may have."""
    return TooLargeProblem(f"a batch may have {limits.files} files at most; send several batches")


def unpacked_too_large(limits: ArchiveLimits) -> TooLargeProblem:
    """More bytes than an archive may unpack to."""
    return TooLargeProblem(f"the archive unpacks to more than {limits.unpacked_bytes} bytes; send several")
