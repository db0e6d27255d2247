"""Reads the files of a tar archive: POSIX.1-2017 `pax` and `ustar`, GNU long names, and Unix V7.

`tarfile` parses only the headers here: on its own it treats a damaged header as the end of the archive, and
expands sparse members to any size.
"""

import tarfile
from collections.abc import Iterator
from typing import IO

from api.archives import members, names
from api.archives.members import TAR_MAGIC, ArchiveLimits, broken, check_time, parsing_errors
from api.errors import BadRequestProblem, TooLargeProblem

EXTENDED_HEADER_BYTES = 1 << 20  # limit of a long name, or of pax records such as macOS's attributes
HEADERS_PER_ENTRY = 4  # pax records, a long name, a long link, and the header itself
PAX_TYPES = (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE)
LONG_TYPES = (tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
REGULAR = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
# A folder, GNU's list of the files in a folder of an incremental archive, and GNU's label of a volume.
FOLDERS = (tarfile.DIRTYPE, b"D", b"V")
SPARSE = b"GNU.sparse."
NAME_ENCODING = "latin-1"  # keeps the bytes of a name, until names.decode() gets them
USTAR = TAR_MAGIC + b"\0"  # GNU's magic has a space for the NUL


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
            if member.type in FOLDERS:
                continue
            names.check_named(member.name)
            skipped = names.is_system_file(member.name)
            if member.type not in REGULAR and not skipped:
                raise members.not_a_file(member.name)
            members.check_size(member.name, member.size, self._limits)
            unpacked += member.size
            if unpacked > self._limits.unpacked_bytes:
                raise members.unpacked_too_large(self._limits)
            if not skipped:
                data = self._read(offset, member.size, max_bytes)
                members.check_content(member.name, data)
                yield member.name, data

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
        """Each entry and the offset of its data; its name is a path of names.archive_path."""
        offset = headers = 0
        global_records: dict[bytes, bytes] = {}  # apply to all following entries
        records: dict[bytes, bytes] = {}  # apply to the next entry
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
                name = _until_nul(self._extended_header(offset, member.size))
                records |= {b"path": name} if member.type == tarfile.GNUTYPE_LONGNAME else {}
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
            if not any(block) and (block or offset):
                return None
            member = tarfile.TarInfo.frombuf(block, NAME_ENCODING, "strict")
            if member.size < 0:
                raise tarfile.ReadError("negative size")
        # `tarfile` takes the prefix also from formats that have other fields in its place.
        if not block.startswith(USTAR, 257):
            member.name = _until_nul(block[:100]).decode(NAME_ENCODING)
        return member

    def _apply_records(self, member: tarfile.TarInfo, records: dict[bytes, bytes]) -> None:
        name = records.get(b"path") or member.name.encode(NAME_ENCODING)  # an empty record is none
        member.name = names.archive_path(names.decode(name))
        if member.type == tarfile.GNUTYPE_SPARSE or SPARSE in records:
            raise BadRequestProblem(f"{member.name!r} is a sparse file; pack the files without holes")
        if size := records.get(b"size"):
            if not (size.isdigit() and len(size) < 20):
                raise broken(f"{member.name!r} has an invalid size")
            member.size = int(size)

    def _pax_records(self, offset: int, size: int) -> dict[bytes, bytes]:
        """Parse records `LENGTH KEY=VALUE\\n`, where LENGTH is that of the whole record in bytes.

        Only a path, a size, and whether there is a record of a sparse file are kept.
        """
        data, start = self._extended_header(offset, size), 0
        records: dict[bytes, bytes] = {}
        while start < len(data) and data[start]:
            digits, _, _ = data[start : start + 8].partition(b" ")
            end = start + (int(digits) if digits.isdigit() else 0)
            record = data[start + len(digits) + 1 : end - 1]
            key, equals, value = record.partition(b"=")
            if not (start < end <= len(data) and data[end - 1 : end] == b"\n" and equals):
                raise broken("an extended header has an invalid record")
            if key in (b"path", b"size"):
                records[key] = value
            elif key.startswith(SPARSE):
                records[SPARSE] = b""
            start = end
        return records

    def _extended_header(self, offset: int, size: int) -> bytes:
        if size > EXTENDED_HEADER_BYTES:
            raise TooLargeProblem(
                f"the archive has a header of {size} bytes; {EXTENDED_HEADER_BYTES} are allowed"
            )
        return self._read(offset, size)


def is_tar(header: bytes) -> bool:
    """Whether a file with these first 512 bytes is a tar archive, which may be damaged or empty."""
    if header[257:262] == TAR_MAGIC or (len(header) == tarfile.BLOCKSIZE and not any(header)):
        return True
    try:  # Unix V7 has no magic, but a checksum
        tarfile.TarInfo.frombuf(header, NAME_ENCODING, "strict")
    except tarfile.HeaderError:
        return False
    return True


def _until_nul(data: bytes) -> bytes:
    return data.partition(b"\0")[0]
