"""The files in a zip: PKWARE's APPNOTE.TXT 6.3.10. `zipfile` reads the directory, this module the members.

For `zipfile` unpacks bzip2 and LZMA in pieces of any size: a kilobyte may give gigabytes.
"""

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol, cast

from api.archives.members import (
    PIECE,
    ArchiveLimits,
    Bounded,
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
from api.errors import BadRequestProblem, BrokenProblem, UnsupportedProblem

CENTRAL_ENTRY = b"PK\x01\x02"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # section 4.3.7
ENTRY_BYTES = 512  # of the directory for each entry, on average: its name, 46 bytes, and what packers add
ENCRYPTED, PATCHED, STRONG, UTF8 = 0x1, 0x20, 0x40, 0x800  # flags: section 4.4.4


class Zip:
    """See api.archives.members.Archive. Opening it reads the directory and checks names and sizes."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
        self._file, self._limits, self._deadline = file, limits, deadline
        self._count_entries()
        most = (1 << 20) + ENTRY_BYTES * limits.entries
        with client_bytes(), zipfile.ZipFile(cast(IO[bytes], Bounded(file, most, deadline))) as archive:
            directory = archive.infolist()
            if any(entry.header_offset < 0 for entry in directory):
                raise zipfile.BadZipFile("the directory is not where it is told to be")
        self._entries = [entry for entry in directory if not entry.filename.endswith("/")]
        for entry in self._entries:
            check_name(entry.filename)
            check_size(entry.filename, entry.file_size, limits)
        if sum(entry.file_size for entry in self._entries) > limits.unpacked_bytes:
            raise unpacked_too_large(limits)
        self._check_overlap(directory)

    def members(self, most: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See api.archives.members.Archive."""
        for entry in self._entries:
            check_time(self._deadline)
            if not is_litter(entry.filename):
                yield as_member(entry.filename, self._unpack(entry, most))

    def _count_entries(self) -> None:
        """Refuse too many entries before `zipfile` builds an object for each of them."""
        count, tail = 0, b""
        while chunk := self._file.read(1 << 20):
            check_time(self._deadline)
            window = tail + chunk
            count += window.count(CENTRAL_ENTRY)
            tail = window[-len(CENTRAL_ENTRY) + 1 :]
            if count > self._limits.entries:
                raise too_many(self._limits)
        self._file.seek(0)

    def _check_overlap(self, directory: list[zipfile.ZipInfo]) -> None:
        """Members that share their bytes unpack to far more than the archive's size tells."""
        end = 0
        for entry in sorted(directory, key=lambda entry: entry.header_offset):
            if entry.header_offset < end:
                raise BadRequestProblem(
                    f"{entry.filename!r} overlaps another file of the archive; pack it anew"
                )
            end = entry.header_offset + LOCAL_HEADER.size + entry.compress_size

    def _unpack(self, entry: zipfile.ZipInfo, most: int | None) -> bytes:
        _check_readable(entry)
        with client_bytes():
            self._seek_data(entry)
            size = entry.file_size + 1 if most is None else min(most, entry.file_size + 1)
            if entry.compress_type == zipfile.ZIP_STORED:
                data = self._file.read(min(size, entry.compress_size))
            else:
                data = self._decompress(entry, size)
        if most is None or len(data) < most:  # it is whole
            if len(data) != entry.file_size:
                raise BrokenProblem(damaged(f"{entry.filename!r} has another size than the directory tells"))
            if zlib.crc32(data) != entry.CRC:
                raise BrokenProblem(damaged(f"{entry.filename!r} has a wrong checksum"))
        return data

    def _seek_data(self, entry: zipfile.ZipInfo) -> None:
        """To a member's first byte, behind its own header, which must be of the same name."""
        self._file.seek(entry.header_offset)
        fields = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        signature, flags, (name_length, extra_length) = fields[0], fields[2], fields[-2:]
        name = self._file.read(name_length).decode("utf-8" if flags & UTF8 else "cp437")
        if signature != b"PK\x03\x04" or name != entry.orig_filename:
            raise zipfile.BadZipFile(f"no header of {entry.filename!r} where the directory tells")
        self._file.seek(extra_length, 1)

    def _decompress(self, entry: zipfile.ZipInfo, size: int) -> bytes:
        """The first `size` bytes, or all if they are fewer. No more than that is ever unpacked."""
        left = entry.compress_size
        if entry.compress_type == zipfile.ZIP_LZMA:
            head = self._file.read(min(left, 9))
            left -= len(head)
            decoder = _lzma_decoder(head, entry.file_size)
        elif entry.compress_type == zipfile.ZIP_BZIP2:
            decoder = bz2.BZ2Decompressor()
        else:
            decoder = _Inflater()
        data = bytearray()
        while len(data) < size and not decoder.eof:
            check_time(self._deadline)
            packed = b""
            if decoder.needs_input:
                packed = self._file.read(min(left, PIECE))
                left -= len(packed)
            piece = decoder.decompress(packed, min(size - len(data), PIECE))
            if not packed and not piece:
                break  # it is cut short
            data += piece
        return bytes(data)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """zlib with the interface of bz2 and lzma."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-15)
        self._full = False

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._full and not self._inflater.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        piece = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self._full = len(piece) == max_length  # there may be more of what went in
        return piece


def _lzma_decoder(head: bytes, size: int) -> _Decoder:
    """Of an LZMA member of `size` bytes, by its first 9 packed ones: section 5.8."""
    length, properties, dictionary = struct.unpack("<2xHBL", head)
    if length != 5:
        raise lzma.LZMAError(f"{length} bytes of properties, not 5")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    dictionary = min(dictionary, max(size + 1, 4096))  # memory is taken for as much as it claims
    chain = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _check_readable(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & (ENCRYPTED | STRONG):
        reason = f"{entry.filename!r} is encrypted"
    elif entry.flag_bits & PATCHED:
        reason = f"{entry.filename!r} is patched data"
    elif entry.compress_type not in (
        zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
    ):  # fmt: skip
        reason = f"{entry.filename!r} has the compression {entry.compress_type}, which is not known"
    else:
        return
    raise UnsupportedProblem(f"the archive cannot be read: {reason}")
