"""Reads the files of a zip archive: PKWARE's APPNOTE.TXT 6.3.10.

Python's `zipfile` decompresses bzip2 and LZMA without a limit on the output, so that a kilobyte may unpack to
gigabytes.
"""

import bz2
import lzma
import struct
import zlib
from collections.abc import Iterator
from typing import IO
from zipfile import ZIP_BZIP2, ZIP_DEFLATED, ZIP_LZMA, ZIP_STORED

from api.archives import members, names
from api.archives.compression import Decompressor, Inflater
from api.archives.members import CHUNK_BYTES, ZIP_MAGIC, ArchiveLimits, broken, check_time, parsing_errors
from api.archives.zip_directory import Entry, iter_entries
from api.errors import BadRequestProblem, UnsupportedProblem

LOCAL_HEADER = struct.Struct("<4s5H3L2H")  # section 4.3.7
ENCRYPTED, PATCHED, STRONG = 0x1, 0x20, 0x40  # flags: section 4.4.4


class Zip:
    """A zip archive as a FileSource. Opening it parses the central directory and checks names and sizes."""

    def __init__(self, file: IO[bytes], limits: ArchiveLimits, deadline: float) -> None:
        self._file, self._deadline = file, deadline
        self._files: list[tuple[str, Entry]] = []  # with their paths
        unpacked = 0
        for name, entry in iter_entries(file, limits, deadline):
            if _is_folder(name, entry):
                continue
            path = names.archive_path(name)
            names.check_named(path)
            members.check_size(path, entry.size, limits)
            if entry.is_special and not names.is_system_file(path):
                raise members.not_a_file(path)
            unpacked += entry.size
            if unpacked > limits.unpacked_bytes:
                raise members.unpacked_too_large(limits)
            self._files.append((path, entry))
        self._check_overlap()

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        for path, entry in self._files:
            check_time(self._deadline)
            if not names.is_system_file(path):
                data = self._read(path, entry, max_bytes)
                members.check_content(path, data)
                yield path, data

    def _check_overlap(self) -> None:
        """Reject files that share bytes: such an archive can unpack to far more than its size."""
        end = 0
        for path, entry in sorted(self._files, key=lambda file: file[1].offset):
            if entry.offset < end:
                raise BadRequestProblem(f"{path!r} overlaps another file of the archive; repack the archive")
            end = entry.offset + LOCAL_HEADER.size + entry.compressed_size

    def _read(self, path: str, entry: Entry, max_bytes: int | None) -> bytes:
        _check_readable(path, entry)
        with parsing_errors():
            self._seek_data(path, entry)
            size = entry.size + 1 if max_bytes is None else min(max_bytes, entry.size + 1)
            if entry.method == ZIP_STORED:
                data = self._file.read(min(size, entry.compressed_size))
            else:
                data = self._decompress(entry, size)
        if max_bytes is None or len(data) < max_bytes:  # the whole file was read
            if len(data) != entry.size:
                raise broken(f"{path!r} does not have the size in the central directory")
            if zlib.crc32(data) != entry.crc:
                raise broken(f"{path!r} has a wrong checksum")
        return data

    def _seek_data(self, path: str, entry: Entry) -> None:
        """Seek to a file's data, behind its local header, which must have the same name."""
        self._file.seek(entry.offset)
        magic, *_, name_length, extra_length = LOCAL_HEADER.unpack(self._file.read(LOCAL_HEADER.size))
        if magic != ZIP_MAGIC[0] or self._file.read(name_length) != entry.raw_name:
            raise broken(f"no local header of {path!r} at the stated offset")
        self._file.seek(extra_length, 1)

    def _decompress(self, entry: Entry, size: int) -> bytes:
        """Decompress the first `size` bytes, or all if there are fewer; never more than `size`."""
        remaining = entry.compressed_size
        if entry.method == ZIP_LZMA:
            header = self._file.read(min(remaining, 9))
            remaining -= len(header)
            decompressor: Decompressor = _lzma_decompressor(header, entry.size)
        elif entry.method == ZIP_BZIP2:
            decompressor = bz2.BZ2Decompressor()
        else:
            decompressor = Inflater(-zlib.MAX_WBITS)
        data = bytearray()
        while len(data) < size and not decompressor.eof:
            check_time(self._deadline)
            compressed = b""
            if decompressor.needs_input:
                compressed = self._file.read(min(remaining, CHUNK_BYTES))
                remaining -= len(compressed)
            chunk = decompressor.decompress(compressed, min(size - len(data), CHUNK_BYTES))
            if not compressed and not chunk:
                break  # truncated
            data += chunk
        return bytes(data)


def _is_folder(name: str, entry: Entry) -> bool:
    """Windows PowerShell's Compress-Archive ends their names with a backslash."""
    return name.endswith("/") or (name.endswith("\\") and entry.size == 0)


def _lzma_decompressor(header: bytes, size: int) -> Decompressor:
    """For an LZMA member of `size` bytes with this 9-byte header: section 5.8."""
    length, properties, dictionary = struct.unpack("<2xHBL", header)
    if length != 5:
        raise lzma.LZMAError(f"{length} bytes of properties, not 5")
    rest, lc = divmod(properties, 9)
    pb, lp = divmod(rest, 5)
    dictionary = min(dictionary, max(size + 1, 4096))  # this much memory is allocated
    chain = {"id": lzma.FILTER_LZMA1, "dict_size": dictionary, "lc": lc, "lp": lp, "pb": pb}
    return lzma.LZMADecompressor(lzma.FORMAT_RAW, filters=[chain])


def _check_readable(path: str, entry: Entry) -> None:
    if entry.flags & (ENCRYPTED | STRONG):
        reason = f"{path!r} is encrypted"
    elif entry.flags & PATCHED:
        reason = f"{path!r} is patched data"
    elif entry.method not in (ZIP_STORED, ZIP_DEFLATED, ZIP_BZIP2, ZIP_LZMA):
        reason = f"{path!r} has the compression {entry.method}, which is not supported; use Deflate"
    else:
        return
    raise UnsupportedProblem(f"the archive cannot be read: {reason}")
