"""Reads the files of a zip archive: PKWARE's APPNOTE.TXT 6.3.10.

`zipfile` parses only the central directory here: it decompresses bzip2 and LZMA without a limit on the
output, so that a kilobyte may unpack to gigabytes.
"""

import bz2
import lzma
import struct
import zipfile
import zlib
from collections.abc import Iterator
from typing import IO, Protocol, cast

from api.archives import members
from api.archives.members import CHUNK_BYTES, ArchiveLimits, broken, check_time, parsing_errors
from api.errors import BadRequestProblem, UnsupportedProblem

CENTRAL_ENTRY = b"PK\x01\x02"
LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # section 4.3.7
ENTRY_BYTES = 512  # limit of an entry in the central directory, on average: 46 bytes, name, extra fields
ENCRYPTED, PATCHED, STRONG, UTF8 = 0x1, 0x20, 0x40, 0x800  # flags: section 4.4.4


class Zip:
    """A zip archive as a FileSource. Opening it parses the central directory and checks names and sizes."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
        self._file, self._limits, self._deadline = file, limits, deadline
        self._count_entries()
        max_bytes = (1 << 20) + ENTRY_BYTES * limits.entries
        with (
            parsing_errors(),
            zipfile.ZipFile(cast(IO[bytes], members.LimitedFile(file, max_bytes, deadline))) as archive,
        ):
            directory = archive.infolist()
            if any(entry.header_offset < 0 for entry in directory):
                raise zipfile.BadZipFile("the central directory is not at the stated offset")
        for entry in directory:
            entry.filename = _name(entry)
        self._entries = [entry for entry in directory if not entry.filename.endswith("/")]
        for entry in self._entries:
            members.check_name(entry.filename)
            members.check_size(entry.filename, entry.file_size, limits)
        if sum(entry.file_size for entry in self._entries) > limits.unpacked_bytes:
            raise members.unpacked_too_large(limits)
        self._check_overlap(directory)

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        for entry in self._entries:
            check_time(self._deadline)
            if not members.is_system_file(entry.filename):
                yield members.checked_file(entry.filename, self._read(entry, max_bytes))

    def _count_entries(self) -> None:
        """Reject too many entries before `zipfile` creates an object for each."""
        count, tail = 0, b""
        while chunk := self._file.read(1 << 20):
            check_time(self._deadline)
            window = tail + chunk
            count += window.count(CENTRAL_ENTRY)
            tail = window[-len(CENTRAL_ENTRY) + 1 :]
            if count > self._limits.entries:
                raise members.too_many_files(self._limits)
        self._file.seek(0)

    def _check_overlap(self, directory: list[zipfile.ZipInfo]) -> None:
        """Reject members that share bytes: such an archive can unpack to far more than its size."""
        end = 0
        for entry in sorted(directory, key=lambda entry: entry.header_offset):
            if entry.header_offset < end:
                raise BadRequestProblem(
                    f"{entry.filename!r} overlaps another file of the archive; repack the archive"
                )
            end = entry.header_offset + LOCAL_HEADER.size + entry.compress_size

    def _read(self, entry: zipfile.ZipInfo, max_bytes: int | None) -> bytes:
        _check_readable(entry)
        with parsing_errors():
            self._seek_data(entry)
            size = entry.file_size + 1 if max_bytes is None else min(max_bytes, entry.file_size + 1)
            if entry.compress_type == zipfile.ZIP_STORED:
                data = self._file.read(min(size, entry.compress_size))
            else:
                data = self._decompress(entry, size)
        if max_bytes is None or len(data) < max_bytes:  # the whole member was read
            if len(data) != entry.file_size:
                raise broken(f"{entry.filename!r} does not have the size in the central directory")
            if zlib.crc32(data) != entry.CRC:
                raise broken(f"{entry.filename!r} has a wrong checksum")
        return data

    def _seek_data(self, entry: zipfile.ZipInfo) -> None:
        """Seek to a member's data, behind its local header, which must have the same name."""
        self._file.seek(entry.header_offset)
        fields = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        signature, flags, (name_length, extra_length) = fields[0], fields[2], fields[-2:]
        name = self._file.read(name_length).decode("utf-8" if flags & UTF8 else "cp437")
        if signature != b"PK\x03\x04" or name != entry.orig_filename:
            raise zipfile.BadZipFile(f"no local header of {entry.filename!r} at the stated offset")
        self._file.seek(extra_length, 1)

    def _decompress(self, entry: zipfile.ZipInfo, size: int) -> bytes:
        """Decompress the first `size` bytes, or all if there are fewer; never more than `size`."""
        remaining = entry.compress_size
        if entry.compress_type == zipfile.ZIP_LZMA:
            header = self._file.read(min(remaining, 9))
            remaining -= len(header)
            decoder = _lzma_decoder(header, entry.file_size)
        elif entry.compress_type == zipfile.ZIP_BZIP2:
            decoder = bz2.BZ2Decompressor()
        else:
            decoder = _Inflater()
        data = bytearray()
        while len(data) < size and not decoder.eof:
            check_time(self._deadline)
            compressed = b""
            if decoder.needs_input:
                compressed = self._file.read(min(remaining, CHUNK_BYTES))
                remaining -= len(compressed)
            chunk = decoder.decompress(compressed, min(size - len(data), CHUNK_BYTES))
            if not compressed and not chunk:
                break  # truncated
            data += chunk
        return bytes(data)


class _Decoder(Protocol):
    @property
    def eof(self) -> bool: ...

    @property
    def needs_input(self) -> bool: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class _Inflater:
    """Raw deflate with the decompressor interface of bz2 and lzma."""

    def __init__(self) -> None:
        self._inflater = zlib.decompressobj(-15)
        self._output_pending = False

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._output_pending and not self._inflater.unconsumed_tail

    def decompress(self, data: bytes, max_length: int) -> bytes:
        chunk = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self._output_pending = len(chunk) == max_length  # more output may be pending
        return chunk


def _lzma_decoder(header: bytes, size: int) -> _Decoder:
    """For an LZMA member of `size` bytes with this 9-byte header: section 5.8."""
    length, properties, dictionary = struct.unpack("<2xHBL", header)
    if length != 5:
        raise lzma.LZMAError(f"{length} bytes of properties, not 5")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    dictionary = min(dictionary, max(size + 1, 4096))  # this much memory is allocated
    chain = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _name(entry: zipfile.ZipInfo) -> str:
    """A name in UTF-8, also without its flag as macOS and 7-Zip write it, or else in code page 437."""
    if entry.flag_bits & UTF8:
        return entry.filename
    try:
        return entry.filename.encode("cp437").decode("utf-8")
    except UnicodeError:
        return entry.filename


def _check_readable(entry: zipfile.ZipInfo) -> None:
    if entry.flag_bits & (ENCRYPTED | STRONG):
        reason = f"{entry.filename!r} is encrypted"
    elif entry.flag_bits & PATCHED:
        reason = f"{entry.filename!r} is patched data"
    elif entry.compress_type not in (
        zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA
    ):  # fmt: skip
        reason = f"{entry.filename!r} has the compression {entry.compress_type}, which is not supported"
    else:
        return
    raise UnsupportedProblem(f"the archive cannot be read: {reason}")
