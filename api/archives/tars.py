"""Reads the files of a tar archive: POSIX.1-2017 `pax`, and GNU long names.

`tarfile` parses only the headers here: on its own it treats a damaged header as the end of the archive, and
expands sparse members to any size.
"""

import tarfile
import zlib
from collections.abc import Iterator
from typing import IO

from api.archives import members
from api.archives.members import CHUNK_BYTES, ArchiveLimits, broken, check_time, parsing_errors
from api.errors import BadRequestProblem, TooLargeProblem

EXTENDED_HEADER_BYTES = 1 << 20  # limit of a long name, or of pax records such as macOS's attributes
GZIP_MEMBERS = 1024  # parallel compressors write a member per block of 128 KB or more
HEADERS_PER_ENTRY = 4  # pax records, a long name, a long link, and the header itself
PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
LONG_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)


class Tar:
    """A tar archive as a FileSource; each iteration parses its headers again."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
        self._file, self._limits, self._deadline = file, limits, deadline

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        unpacked = 0
        for count, (member, offset) in enumerate(self._entries()):
            if count >= self._limits.entries:
                raise members.too_many_files(self._limits)
            members.check_name(member.name)
            if member.isdir():
                continue
            skipped = members.is_system_file(member.name)
            if member.type not in REGULAR and not skipped:
                raise BadRequestProblem(f"{member.name!r} is a link or device; pack the files themselves")
            members.check_size(member.name, member.size, self._limits)
            unpacked += member.size
            if unpacked > self._limits.unpacked_bytes:
                raise members.unpacked_too_large(self._limits)
            if not skipped:
                yield members.checked_file(member.name, self._read(offset, member.size, max_bytes))

    def _read(self, offset: int, size: int, max_bytes: int | None = None) -> bytes:
        """The first `max_bytes` of a member, or all; raises in any case if the archive ends within it."""
        with parsing_errors():
            self._file.seek(offset)
            length = size if max_bytes is None else min(size, max_bytes)
            data = self._file.read(length)
            if len(data) < length or (
                length < size and self._file.seek(offset + size - 1) and not self._file.read(1)
            ):
                raise tarfile.ReadError("unexpected end of data")
        return data

    def _entries(self) -> Iterator[tuple[tarfile.TarInfo, int]]:
        """Each entry and the offset of its data; extended headers are applied to its name and size."""
        offset = headers = 0
        global_records: dict[str, str] = {}  # apply to all following entries
        records: dict[str, str] = {}  # apply to the next entry
        while (member := self._header(offset)) is not None:
            check_time(self._deadline)
            offset += tarfile.BLOCKSIZE
            headers += 1
            if headers > HEADERS_PER_ENTRY * self._limits.entries:
                raise members.too_many_files(self._limits)
            if member.type in PAX_TYPES:
                target = global_records if member.type == tarfile.XGLTYPE else records
                target.update(self._pax_records(offset, member.size))
            elif member.type in LONG_TYPES:
                name = self._extended_header(offset, member.size).split(b"\0")[0].decode("utf-8", "replace")
                records |= {"path": name} if member.type == tarfile.GNUTYPE_LONGNAME else {}
            else:
                self._apply_records(member, global_records | records)
                records = {}
                yield member, offset
                if member.type in tarfile.SUPPORTED_TYPES and member.type not in REGULAR:
                    continue  # a folder, link or device has no data, whatever its size field
            offset += -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
        if records:
            raise broken("it ends after an extended header")

    def _header(self, offset: int) -> tarfile.TarInfo | None:
        """The header at `offset`, or None at the end: a block of zeros, or the end of the file."""
        with parsing_errors():
            self._file.seek(offset)
            block = self._file.read(tarfile.BLOCKSIZE)
            try:
                member = tarfile.TarInfo.frombuf(block, "utf-8", "replace")
            except (tarfile.EmptyHeaderError, tarfile.EOFHeaderError):  # type: ignore[attr-defined]
                if offset == 0:
                    raise tarfile.ReadError("empty header") from None
                return None
            if member.size < 0:
                raise tarfile.ReadError("negative size")
        return member

    def _apply_records(self, member: tarfile.TarInfo, records: dict[str, str]) -> None:
        sparse = member.type == tarfile.GNUTYPE_SPARSE or any(
            key.startswith("GNU.sparse.") for key in records
        )
        if "path" in records:
            member.name = records["path"].rstrip("/")
        if sparse:
            raise BadRequestProblem(f"{member.name!r} is a sparse file; pack the files without holes")
        if size := records.get("size", ""):
            if not (size.isascii() and size.isdigit() and len(size) < 20):
                raise broken(f"{member.name!r} has an invalid size")
            member.size = int(size)

    def _pax_records(self, offset: int, size: int) -> dict[str, str]:
        """Parse records `LENGTH KEY=VALUE\\n`, where LENGTH is that of the whole record in bytes."""
        data, records, start = self._extended_header(offset, size), {}, 0
        while start < len(data) and data[start]:
            digits, _, _ = data[start : start + 8].partition(b" ")
            end = start + (int(digits) if digits.isdigit() else 0)
            record = data[start + len(digits) + 1 : end - 1]
            key, equals, value = record.partition(b"=")
            if not (start < end <= len(data) and data[end - 1 : end] == b"\n" and equals):
                raise broken("an extended header has an invalid record")
            records[key.decode("utf-8", "replace")] = value.decode("utf-8", "replace")
            start = end
        return records

    def _extended_header(self, offset: int, size: int) -> bytes:
        if size > EXTENDED_HEADER_BYTES:
            raise TooLargeProblem(
                f"the archive has a header of {size} bytes; {EXTENDED_HEADER_BYTES} are allowed"
            )
        return self._read(offset, size)


def gunzip(source: IO[bytes], target: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
    """Decompress a gzip file (RFC 1952) within `limits.unpacked_bytes`. Raises Problem and TimeoutError.

    It uses zlib, because Python's gzip module reads headers byte by byte.
    """
    total, compressed = 0, source.read(CHUNK_BYTES)
    for _ in range(GZIP_MEMBERS):
        if not compressed.strip(b"\0"):  # zero padding may follow the last member
            return
        member = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
        while not member.eof:
            check_time(deadline)
            with parsing_errors():
                chunk = member.decompress(compressed, CHUNK_BYTES)
            total += len(chunk)
            if total > limits.unpacked_bytes:
                raise members.unpacked_too_large(limits)
            target.write(chunk)
            compressed = member.unconsumed_tail or (b"" if member.eof else source.read(CHUNK_BYTES))
            if not (compressed or chunk or member.eof):
                raise broken("it ends early")
        compressed = member.unused_data or source.read(CHUNK_BYTES)
    raise broken(f"a .tar.gz may have {GZIP_MEMBERS} members at most")
