"""Reads the central directory of a zip archive: PKWARE's APPNOTE.TXT 6.3.10.

Python's `zipfile` cannot be interrupted while it does so, takes time quadratic in the length of an extra
field, and refuses an archive of which one name is not in the encoding that it states.
"""

import io
import stat
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import IO

from api.archives import members, names
from api.archives.members import ArchiveLimits, broken, check_time, parsing_errors
from api.errors import TooLargeProblem

END = struct.Struct("<4s4H2LH")  # section 4.3.16
END_64 = struct.Struct("<4sQ2H2L4Q")  # section 4.3.14
LOCATOR_64 = struct.Struct("<4sLQL")  # section 4.3.15
ENTRY = struct.Struct("<4s6H3L5H2L")  # section 4.3.12
END_MAGIC, END_64_MAGIC, LOCATOR_64_MAGIC, ENTRY_MAGIC = b"PK\5\6", b"PK\6\6", b"PK\6\7", b"PK\1\2"
MAX_COMMENT = 0xFFFF
ENTRY_BYTES = 512  # limit of an entry, on average: 46 bytes, name, extra fields, comment
ZIP64, UNICODE_PATH = 0x0001, 0x7075  # extra fields: sections 4.5.3 and 4.6.9
MAX_FIELDS = 64  # extra fields that are looked at; writers leave up to 5
IN_ZIP64 = 0xFFFFFFFF
UNIX = (3, 19)  # hosts of section 4.4.2 that have file modes; 19 is macOS


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder. raw_name: its name as its local header has it, too. offset: of that header.

    compressed_size, size: in bytes. mode: of Unix, or 0 if the archive is of another system.
    """

    raw_name: bytes
    flags: int
    method: int
    crc: int
    compressed_size: int
    size: int
    offset: int
    mode: int

    @property
    def is_special(self) -> bool:
        """Whether it is a link, device, or the like."""
        return stat.S_IFMT(self.mode) not in (0, stat.S_IFREG, stat.S_IFDIR)


def iter_entries(file: IO[bytes], limits: ArchiveLimits, deadline: float) -> Iterator[tuple[str, Entry]]:
    """Each file and folder with its name. Raises Problem (413, 422), and TimeoutError past the deadline."""
    with parsing_errors():
        start, size, shift = _locate(file)
        file.seek(start)
    if size > (max_bytes := (1 << 20) + ENTRY_BYTES * limits.entries):
        raise TooLargeProblem(f"the archive has a directory of {size} bytes; {max_bytes} are allowed")
    count = 0
    while file.tell() < start + size:
        check_time(deadline)
        count += 1
        if count > limits.entries:
            raise members.too_many_files(limits)
        with parsing_errors():
            entry = _read_entry(file, shift)
        yield entry
    if file.tell() != start + size:
        raise broken("the central directory does not have its stated size")


def _locate(file: IO[bytes]) -> tuple[int, int, int]:
    """Offset and size of the directory, and what has to be added to the offsets that it states."""
    length = file.seek(0, io.SEEK_END)
    tail_start = file.seek(max(0, length - END.size - MAX_COMMENT))
    tail = file.read(END.size + MAX_COMMENT)
    found = tail.rfind(END_MAGIC, 0, len(tail) - END.size + len(END_MAGIC))
    if found < 0:
        raise broken("it has no central directory")
    *_, size, offset, _ = END.unpack_from(tail, found)
    end = tail_start + found
    if end >= LOCATOR_64.size:
        file.seek(end - LOCATOR_64.size)
        magic, _, end_64, _ = LOCATOR_64.unpack(file.read(LOCATOR_64.size))
        if magic == LOCATOR_64_MAGIC:
            file.seek(end_64)
            magic, *_, size, offset = END_64.unpack(file.read(END_64.size))
            if magic != END_64_MAGIC:
                raise broken("the end of its central directory is not at the stated offset")
            end = end_64
    if size > end:
        raise broken("the central directory does not have its stated size")
    return end - size, size, end - size - offset


def _read_entry(file: IO[bytes], shift: int) -> tuple[str, Entry]:
    (
        magic, made_by, _, flags, method, _, _, crc, compressed_size, size,
        name_length, extra_length, comment_length, _, _, attributes, offset,
    ) = ENTRY.unpack(file.read(ENTRY.size))  # fmt: skip
    if magic != ENTRY_MAGIC:
        raise broken("the central directory has no entry at the stated offset")
    raw_name, extra = file.read(name_length), file.read(extra_length)
    file.seek(comment_length, io.SEEK_CUR)
    name = names.decode(raw_name, "cp437")  # section D.1; macOS and 7-Zip do not flag UTF-8
    valid_path = struct.pack("<BL", 1, zlib.crc32(raw_name))
    for kind, field in islice(_extra_fields(extra), MAX_FIELDS):
        if kind == ZIP64:
            size, compressed_size, offset = _from_zip64(field, size, compressed_size, offset)
        elif kind == UNICODE_PATH and field.startswith(valid_path):
            name = names.decode(field[len(valid_path) :]) or name
    if offset + shift < 0:
        raise broken("the central directory is not at the stated offset")
    mode = attributes >> 16 if made_by >> 8 in UNIX else 0
    return name, Entry(raw_name, flags, method, crc, compressed_size, size, offset + shift, mode)


def _extra_fields(extra: bytes) -> Iterator[tuple[int, bytes]]:
    """(kind, content) of each: section 4.5.1. Bytes behind the last, as some writers leave, are ignored."""
    at = 0
    while at + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, at)
        yield kind, extra[at + 4 : at + 4 + length]
        at += 4 + length


def _from_zip64(field: bytes, *values: int) -> list[int]:
    """The values, of which the field has those that do not fit in 32 bits."""
    found, at = [], 0
    for value in values:
        if value == IN_ZIP64:
            [value] = struct.unpack_from("<Q", field, at)
            at += 8
        found.append(value)
    return found
