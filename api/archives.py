"""The files in an uploaded .zip, .tar or .tar.gz, read one after another within limits.

An archive that looks like an attack (paths that climb out, links, archives within, more data than
allowed) is refused whole. Nothing is unpacked to disk, but for a .tar.gz to a nameless temporary file.
"""

import gzip
import lzma
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import PureWindowsPath
from typing import IO

from api.errors import BadRequestProblem, BrokenProblem, TooLargeProblem, UnsupportedProblem

ZIP_MAGIC, GZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06"), b"\x1f\x8b"
NESTED_MAGIC = (*ZIP_MAGIC, GZIP_MAGIC, b"7z\xbc\xaf\x27\x1c", b"Rar!", b"\xfd7zXZ", b"BZh")
CENTRAL_ENTRY = b"PK\x01\x02"
SPOOL = 8 << 20
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    ValueError,
)
# What file managers leave in archives without being asked.
LITTER = {"__MACOSX", "Thumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class ArchiveLimits:
    """files: entries; file_bytes: of one entry, unpacked; unpacked_bytes: of all entries together."""

    files: int
    file_bytes: int
    unpacked_bytes: int


def read_archive(file: IO[bytes], limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    """(name, bytes) of each file, the name without its folders; folders and litter are passed over.

    `file` is seekable. Raises Problem: 400 unsafe, 413 over a limit, 415 no archive, 422 damaged.
    """
    head = file.read(512)
    file.seek(0)
    try:
        if head.startswith(ZIP_MAGIC):
            yield from _read_zip(file, limits)
        elif head.startswith(GZIP_MAGIC):
            with _gunzip(file, limits) as unpacked:
                yield from _read_tar(unpacked, limits)
        elif head[257:262] == b"ustar":
            yield from _read_tar(file, limits)
        else:
            raise UnsupportedProblem("the field `archive` must be a .zip, .tar or .tar.gz file")
    except DAMAGE as error:
        raise BrokenProblem(f"the archive is cut short or damaged: {error}") from error
    except (NotImplementedError, RuntimeError) as error:  # encrypted, or an unknown compression
        raise UnsupportedProblem(f"the archive cannot be read: {error}") from error


def _read_zip(file: IO[bytes], limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    _count_entries(file, limits)
    with zipfile.ZipFile(file) as archive:
        entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        for entry in entries:
            _check_name(entry.filename)
            _check_size(entry.filename, entry.file_size, limits)
        if sum(entry.file_size for entry in entries) > limits.unpacked_bytes:
            raise _unpacked_too_large(limits)
        for entry in entries:
            if _litter(entry.filename):
                continue
            with archive.open(entry) as stream:
                data = stream.read(limits.file_bytes + 1)  # the size in the header may be a lie
            _check_size(entry.filename, len(data), limits)
            yield _file(entry.filename, data)


def _count_entries(file: IO[bytes], limits: ArchiveLimits) -> None:
    """Refuse too many entries before `zipfile` builds an object for each of them."""
    count, tail = 0, b""
    while chunk := file.read(1 << 20):
        window = tail + chunk
        count += window.count(CENTRAL_ENTRY)
        tail = window[-len(CENTRAL_ENTRY) + 1 :]
        if count > 2 * limits.files:  # twice: folders and litter are entries too
            raise _too_many(limits)
    file.seek(0)


def _gunzip(file: IO[bytes], limits: ArchiveLimits) -> IO[bytes]:
    """The unpacked bytes, in memory or, when they are many, in a temporary file."""
    with ExitStack() as on_error, gzip.GzipFile(fileobj=file) as stream:
        unpacked = on_error.enter_context(tempfile.SpooledTemporaryFile(max_size=SPOOL))
        while chunk := stream.read(1 << 20):
            if unpacked.tell() + len(chunk) > limits.unpacked_bytes:
                raise _unpacked_too_large(limits)
            unpacked.write(chunk)
        on_error.pop_all()
    unpacked.seek(0)
    return unpacked


def _read_tar(file: IO[bytes], limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    with tarfile.open(mode="r:", fileobj=_Bounded(file, limits)) as archive:
        for count, member in enumerate(archive):
            if count >= 2 * limits.files:
                raise _too_many(limits)
            _check_name(member.name)
            if member.isdir() or _litter(member.name):
                continue
            if not member.isreg():
                raise BadRequestProblem(f"{member.name!r} is a link or device; pack the files themselves")
            _check_size(member.name, member.size, limits)
            content = archive.extractfile(member)
            assert content is not None  # it is a regular file
            yield _file(member.name, content.read())


class _Bounded:
    """A file that refuses to give more at once than a picture may have."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits) -> None:
        self._file, self._limits = file, limits
        self.seek, self.tell, self.write, self.close = file.seek, file.tell, file.write, file.close

    def read(self, size: int = -1) -> bytes:
        # tarfile reads a header's extension in one piece, of whatever size the archive claims.
        if not 0 <= size <= self._limits.file_bytes + tarfile.RECORDSIZE:
            raise TooLargeProblem("the archive has a header larger than a picture may be")
        return self._file.read(size)


def _check_name(name: str) -> None:
    path = PureWindowsPath(name)  # takes both slashes, and knows drives
    if path.drive or path.root or ".." in path.parts or "\0" in name:
        raise BadRequestProblem(f"the archive holds the unsafe path {name!r}; pack it with plain names")


def _check_size(name: str, size: int, limits: ArchiveLimits) -> None:
    if size > limits.file_bytes:
        raise TooLargeProblem(
            f"{name!r} in the archive has more than the {limits.file_bytes} bytes a picture may have"
        )


def _litter(name: str) -> bool:
    path = PureWindowsPath(name)
    return bool(LITTER.intersection(path.parts)) or path.name.startswith(".")


def _file(name: str, data: bytes) -> tuple[str, bytes]:
    if data.startswith(NESTED_MAGIC) or data[257:262] == b"ustar":
        raise BadRequestProblem(f"{name!r} is an archive within the archive; pack the pictures themselves")
    return PureWindowsPath(name).name, data


def _too_many(limits: ArchiveLimits) -> TooLargeProblem:
    return TooLargeProblem(f"a batch may have {limits.files} files at most; send several batches")


def _unpacked_too_large(limits: ArchiveLimits) -> TooLargeProblem:
    return TooLargeProblem(f"the archive unpacks to more than {limits.unpacked_bytes} bytes; send several")
