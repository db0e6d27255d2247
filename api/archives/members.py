"""Shared by the zip and tar readers: limits, checks of members, and conversion of errors."""

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
# Files that file managers add to archives.
SYSTEM_FILES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
CHUNK_BYTES = 1 << 16  # read or decompressed between two checks of the deadline
# OSErrors that damaged bytes can cause: a seek to an offset before the file, or too far behind it.
_DATA_ERRNOS = (None, errno.EINVAL, errno.EOVERFLOW)


@dataclass(frozen=True)
class ArchiveLimits:
    """files: number of files; file_bytes: size of one, unpacked; unpacked_bytes: of all together."""

    files: int
    file_bytes: int
    unpacked_bytes: int

    @property
    def entries(self) -> int:
        """Limit of all entries, with folders and system files."""
        return 2 * self.files


class FileSource(Protocol):
    """The files of an archive or a form; they can be iterated more than once."""

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """(base name, bytes) of each file, without folders and system files; one at a time is in memory.

        max_bytes: read only the first bytes of each file. Raises Problem (400, 413, 415 or 422) and, past the
        deadline, TimeoutError.
        """
        ...


@contextmanager
def parsing_errors() -> Iterator[None]:
    """Converts exceptions of a library that parses the upload to BrokenProblem.

    Errors of the server pass through: a full or failing disk, too many open files, out of memory.
    """
    try:
        yield
    except _ServerError as error:
        raise error.error from None
    except (Problem, TimeoutError, MemoryError):
        raise
    except Exception as error:
        if _is_server_error(error):
            raise
        raise broken(str(error) or type(error).__name__) from error


def _is_server_error(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno not in _DATA_ERRNOS


class _ServerError(Exception):
    """Wraps an OSError of the server, which `zipfile` would report as a damaged archive."""

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def broken(reason: str) -> BrokenProblem:
    """The archive is truncated or damaged."""
    return BrokenProblem(f"the archive is cut short or damaged: {reason}")


def check_time(deadline: float) -> None:
    """Raises TimeoutError past `deadline`, by time.monotonic()."""
    if time.monotonic() > deadline:
        raise TimeoutError("the archive was not read in time")


class LimitedFile:
    """Wraps a file for `zipfile`: reads raise past the deadline, or for more than `max_bytes` at once."""

    def __init__(self, file: IO[bytes], max_bytes: int, deadline: float) -> None:
        self._file, self._max_bytes, self._deadline = file, max_bytes, deadline
        self.seek, self.tell = file.seek, file.tell

    def read(self, size: int = -1) -> bytes:
        check_time(self._deadline)
        if size > self._max_bytes:
            raise TooLargeProblem(f"the archive has a header of {size} bytes; {self._max_bytes} are allowed")
        try:
            data = self._file.read(size if size >= 0 else self._max_bytes + 1)
        except OSError as error:
            raise (_ServerError(error) if _is_server_error(error) else error) from error
        if len(data) > self._max_bytes:
            raise TooLargeProblem(
                f"the archive has a header of more than the {self._max_bytes} bytes allowed"
            )
        return data

    def seekable(self) -> bool:
        return True


def check_name(name: str) -> None:
    """Raises BadRequestProblem for path traversal."""
    path = PureWindowsPath(name)  # accepts both slashes, and detects drives
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        raise BadRequestProblem(f"the archive holds the unsafe path {name!r}; pack it with plain names")


def check_size(name: str, size: int, limits: ArchiveLimits) -> None:
    """Raises TooLargeProblem for a file over the limit of a picture."""
    if size > limits.file_bytes:
        raise TooLargeProblem(
            f"{name!r} in the archive has more than the {limits.file_bytes} bytes a picture may have"
        )


def is_system_file(name: str) -> bool:
    """Whether the file is hidden, or was added by a file manager."""
    path = PureWindowsPath(name)
    return bool(SYSTEM_FILES.intersection(path.parts)) or path.name.startswith(".")


def checked_file(name: str, data: bytes) -> tuple[str, bytes]:
    """(base name, bytes). Raises BadRequestProblem for a nested archive."""
    if data.startswith(NESTED_MAGIC) or data[257:262] == b"ustar":
        raise BadRequestProblem(f"{name!r} is an archive within the archive; pack the pictures themselves")
    return PureWindowsPath(name).name, data


def too_many_files(limits: ArchiveLimits) -> TooLargeProblem:
    """The archive has too many entries."""
    return TooLargeProblem(f"a batch may have {limits.files} files at most; send several batches")


def unpacked_too_large(limits: ArchiveLimits) -> TooLargeProblem:
    """The archive unpacks to too many bytes."""
    return TooLargeProblem(f"the archive unpacks to more than {limits.unpacked_bytes} bytes; send several")
