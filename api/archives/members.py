"""Shared by the zip and tar readers: limits, checks of members, and conversion of errors."""

import errno
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from api.errors import BadRequestProblem, BrokenProblem, Problem, TooLargeProblem

ZIP_MAGIC, TAR_MAGIC = (b"PK\x03\x04", b"PK\x05\x06"), b"ustar"
GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC, ZSTD_MAGIC = b"\x1f\x8b", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"
UNREAD_MAGIC = {"7z": b"7z\xbc\xaf\x27\x1c", "RAR": b"Rar!", "CAB": b"MSCF\0\0\0\0"}
NESTED_MAGIC = (*ZIP_MAGIC, GZIP_MAGIC, BZIP2_MAGIC, XZ_MAGIC, ZSTD_MAGIC, *UNREAD_MAGIC.values())
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
        """(path, bytes) of each file, without folders and system files; one at a time is in memory.

        path: relative, separated by `/`, without surrogates, and not empty. max_bytes: read only the first
        bytes of each file. Raises Problem (400, 413, 415 or 422) and, past the deadline, TimeoutError.
        """
        ...


@contextmanager
def parsing_errors() -> Iterator[None]:
    """Converts exceptions of a library that parses the upload to BrokenProblem.

    Errors of the server pass through: a full or failing disk, too many open files, out of memory.
    """
    try:
        yield
    except (Problem, TimeoutError, MemoryError):
        raise
    except Exception as error:
        if _is_server_error(error):
            raise
        raise broken(str(error) or type(error).__name__) from error


def _is_server_error(error: Exception) -> bool:
    return isinstance(error, OSError) and error.errno not in _DATA_ERRNOS


def broken(reason: str) -> BrokenProblem:
    """The archive is truncated or damaged."""
    return BrokenProblem(f"the archive is cut short or damaged: {reason}")


def check_time(deadline: float) -> None:
    """Raises TimeoutError past `deadline`, by time.monotonic()."""
    if time.monotonic() > deadline:
        raise TimeoutError("the archive was not read in time")


def check_size(name: str, size: int, limits: ArchiveLimits) -> None:
    """Raises TooLargeProblem for a file over the limit of a picture."""
    if size > limits.file_bytes:
        raise TooLargeProblem(
            f"{name!r} in the archive has more than the {limits.file_bytes} bytes a picture may have"
        )


def check_content(name: str, data: bytes) -> None:
    """Raises BadRequestProblem for a nested archive."""
    if data.startswith(NESTED_MAGIC) or data[257:262] == TAR_MAGIC:
        raise BadRequestProblem(f"{name!r} is an archive within the archive; pack the pictures themselves")


def not_a_file(name: str) -> BadRequestProblem:
    """The archive has an entry that is neither a file nor a folder."""
    return BadRequestProblem(f"{name!r} is a link or device; pack the files themselves")


def too_many_files(limits: ArchiveLimits) -> TooLargeProblem:
    """The archive has too many entries."""
    return TooLargeProblem(f"a batch may have {limits.files} files at most; send several batches")


def unpacked_too_large(limits: ArchiveLimits) -> TooLargeProblem:
    """The archive unpacks to too many bytes."""
    return TooLargeProblem(f"the archive unpacks to more than {limits.unpacked_bytes} bytes; send several")
