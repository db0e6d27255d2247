"""The files in a tar: POSIX.1-2017 `pax`, and GNU's long names.

`tarfile` reads a header, this module the rest: `tarfile` takes a damaged header for the end,
and follows sparse members to any size.
"""

import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from api.archives.members import (
    PIECE,
    ArchiveLimits,
    as_member,
    check_name,
    check_size,
    check_time,
    client_bytes,
    damaged,
    is_litter,
    too_many,
    unpacked_too_large,
)
from api.errors import BadRequestProblem, BrokenProblem, TooLargeProblem

EXTENSION_BYTES = 1 << 20  # of a header's extension: a long name, or records such as macOS's attributes
GZIP_MEMBERS = 1024  # parallel packers write one for each block of 128 KB or more
HEADERS = 4  # of one entry: records, a long name, a long link, and its own
PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
LONG_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class Tar:
    """See api.archives.members.Archive. It is read header by header, each time anew."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
        self._file, self._limits, self._deadline = file, limits, deadline

    def members(self, most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See api.archives.members.Archive."""
        unpacked = 0
        for count, (member, at) in enumerate(self._headers()):
            if count >= self._limits.entries:
                raise too_many(self._limits)
            check_name(member.name)
            if member.isdir():
                continue
            litter = is_litter(member.name)
            if member.type not in REGULAR and not litter:
                raise BadRequestProblem(f"{member.name!r} is a link or device; pack the files themselves")
            check_size(member.name, member.size, self._limits)
            unpacked += member.size
            if unpacked > self._limits.unpacked_bytes:
                raise unpacked_too_large(self._limits)
            if not litter:
                yield as_member(member.name, self._read(at, member.size, most))

    def _read(self, at: int, size: int, most: int | None = None) -> bytes:
        """The bytes of a member; with `most` only so many of them, but the others must be there too."""
        with client_bytes():
            self._file.seek(at)
            wanted = size if most is None else min(size, most)
            data = self._file.read(wanted)
            if len(data) < wanted or (
                wanted < size and self._file.seek(at + size - 1) and not self._file.read(1)
            ):
                raise tarfile.ReadError("unexpected end of data")
        return data

    def _headers(self) -> Iterator[tuple[tarfile.TarInfo, int]]:
        """Each entry and where its bytes begin; names and sizes are what its extensions tell."""
        at = headers = 0
        shared: dict[str, str] = {}  # of all entries that follow
        own: dict[str, str] = {}  # of the next one
        while (member := self._header(at)) is not None:
            check_time(self._deadline)
            at += tarfile.BLOCKSIZE
            headers += 1
            if headers > HEADERS * self._limits.entries:
                raise too_many(self._limits)
            if member.type in PAX_TYPES:
                (shared if member.type == tarfile.XGLTYPE else own).update(self._records(at, member.size))
            elif member.type in LONG_TYPES:
                name = self._extension(at, member.size).split(b"\0")[0].decode("utf-8", "replace")
                own |= {"path": name} if member.type == tarfile.GNUTYPE_LONGNAME else {}
            else:
                self._extend(member, shared | own)
                own = {}
                yield member, at
                if member.type in tarfile.SUPPORTED_TYPES and member.type not in REGULAR:
                    continue  # a folder, link or device: without bytes, whatever the size tells
            at += -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if own:
            raise BrokenProblem(damaged("it ends with an extension of a header"))

    def _header(self, at: int) -> tarfile.TarInfo | None:
        """None at the end, which is a block of zeros or, as some packers have it, the file's."""
        with client_bytes():
            self._file.seek(at)
            block = self._file.read(tarfile.BLOCKSIZE)
            try:
                member = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
            except (tarfile.EmptyHeaderError, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                if at == 0:
                    raise tarfile.ReadError("empty header") from None
                return None
            if member.size < 0:
                raise tarfile.ReadError("negative size")
        return member

    def _extend(self, member: tarfile.TarInfo, records: dict[str, str]) -> None:
        sparse = member.type == tarfile.GNUTYPE_SPARSE or any(
            key.startswith("GNU.sparse.") for key in records
        )
        if "path" in records:
            member.name = records["path"].rstrip("/")
        if sparse:
            raise BadRequestProblem(f"{member.name!r} is a sparse file; pack the files without holes")
        if size := records.get("size", ""):
            if not (size.isascii() and size.isdigit() and len(size) < 20):
                raise BrokenProblem(damaged(f"{member.name!r} has a size that is no number"))
            member.size = int(size)

    def _records(self, at: int, size: int) -> dict[str, str]:
        """Of the form `LENGTH KEY=VALUE\\n`, LENGTH that of all of it in bytes."""
        data, records, start = self._extension(at, size), {}, 0
        while start < len(data) and data[start]:
            digits, _, _ = data[start : start + 8].partition(b" ")
            end = start + (int(digits) if digits.isdigit() else 0)
            record = data[start + len(digits) + 1 : end - 1]
            key, equals, value = record.partition(b"=")
            if not (start < end <= len(data) and data[end - 1 : end] == b"\n" and equals):
                raise BrokenProblem(damaged("a header's extension has a record of no sense"))
            records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            start = end
        return records

    def _extension(self, at: int, size: int) -> bytes:
        if size > EXTENSION_BYTES:
            raise TooLargeProblem(f"the archive has a header of {size} bytes; {EXTENSION_BYTES} are allowed")
        return self._read(at, size)


def unpack(source: IO[bytes], target: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
    """Copy what a gzip holds, RFC 1952, no more than a tar may unpack to.

    By zlib, because Python's gzip reads a header byte by byte. Raises Problem, and TimeoutError past the
    deadline.
    """
    total, packed = 0, source.read(PIECE)
    for _ in range(GZIP_MEMBERS):
        if not packed.strip(b"\0"):  # only padding may follow
            return
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not member.eof:
            check_time(deadline)
            with client_bytes():
                piece = member.decompress(packed, PIECE)
            total += len(piece)
            if total > limits.unpacked_bytes:
                raise unpacked_too_large(limits)
            target.write(piece)
            packed = member.unconsumed_tail or (b"" if member.eof else source.read(PIECE))
            if not (packed or piece or member.eof):
                raise BrokenProblem(damaged("it ends early"))
        packed = member.unused_data or source.read(PIECE)
    raise BrokenProblem(damaged(f"a .tar.gz may have {GZIP_MEMBERS} members at most"))
