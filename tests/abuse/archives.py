"""Hostile archives: decompression bombs, and malformed files that make libraries fail."""

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

MIB = 1 << 20


def zipped(kind: int, *contents: bytes) -> bytes:
    """A zip of files 0.png, 1.png ..."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.png", content)
    return file.getvalue()


class ZipEntry(NamedTuple):
    """A file of a zip. packed: its compressed data; the stated size and checksum are those of `content`.

    host, mode: the system that wrote it and its file mode there (APPNOTE.TXT, sections 4.4.2 and 4.4.15).
    """

    name: bytes
    content: bytes = b""
    packed: bytes | None = None
    method: int = zipfile.ZIP_STORED
    flags: int = 0
    extra: bytes = b""
    host: int = 0
    mode: int = 0


def raw_zip(*entries: ZipEntry) -> bytes:
    """A zip of these entries, also those that `zipfile` does not write."""
    file, directory = io.BytesIO(), []
    for name, content, packed, method, flags, extra, host, mode in entries:
        data = content if packed is None else packed
        lengths = (len(data), len(content), len(name), len(extra))
        shared = struct.pack("<5HL2L2H", 20, flags, method, 0, 0, zlib.crc32(content), *lengths)
        rest = struct.pack("<3H2L", 0, 0, 0, mode << 16, file.tell())
        directory.append(b"PK\1\2" + bytes([20, host]) + shared + rest + name + extra)
        file.write(b"PK\3\4" + shared + name + extra + data)
    size, count = sum(map(len, directory)), len(entries) % (1 << 16)  # readers go by the size
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, count, count, size, file.tell(), 0)
    return b"".join([file.getvalue(), *directory, end])


def unicode_path(name: bytes, written: bytes, version: int = 1) -> bytes:
    """Info-ZIP's extra field with a name in UTF-8, for the one that was written in the header."""
    field = struct.pack("<BL", version, zlib.crc32(written)) + name
    return struct.pack("<HH", 0x7075, len(field)) + field


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """A tar's header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def with_checksum(block: bytes) -> bytes:
    """A tar's header with its checksum computed anew."""
    summed = block[:148] + b" " * 8 + block[156:]
    return block[:148] + b"%06o\0 " % sum(summed) + block[156:]


def padded(data: bytes) -> bytes:
    """Zero-padded to the block size of a tar."""
    return data + bytes(-len(data) % 512)


def records(**values: str | bytes) -> bytes:
    """A pax extended header of a tar. `__` in a key stands for a dot."""
    text = b""
    for key, value in values.items():
        line = f" {key.replace('__', '.')}=".encode() + (value.encode() if isinstance(value, str) else value)
        length = len(line) + 1
        length += next(digits for digits in range(1, 9) if len(str(length + digits)) == digits)
        text += str(length).encode() + line + b"\n"
    return header("pax", len(text), tarfile.XHDTYPE) + padded(text)


def replaced(data: bytes, signature: bytes, offset: int, value: bytes) -> bytes:
    """`data` with `value` written `offset` bytes after the first `signature`."""
    at = data.index(signature) + offset
    return data[:at] + value + data[at + len(value) :]


def zip_directory_offset(size: int = 600_000) -> bytes:
    """The stated offset of the central directory is past the end of the file."""
    data = zipped(zipfile.ZIP_STORED, bytes(size))
    return replaced(data, b"PK\5\6", 16, struct.pack("<L", 2**31))


def zip_member_offset() -> bytes:
    """The stated offset of a member is past the end of the file."""
    return replaced(zipped(zipfile.ZIP_STORED, b"a"), b"PK\1\2", 42, struct.pack("<L", 2**32 - 2))


def zip_bzip2_wrong_byte() -> bytes:
    """A damaged bzip2 member."""
    return replaced(zipped(zipfile.ZIP_BZIP2, bytes(5000)), b"BZh", 10, b"\xff")


def zip_empty_name() -> bytes:
    """A file with an empty name."""
    return raw_zip(ZipEntry(b"", b"a"))


def zip_overlap(times: int = 200) -> bytes:
    """Entries of the central directory that all point to the same member."""
    data = zipped(zipfile.ZIP_DEFLATED, bytes(MIB))
    first, last = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, times, times, (last - first) * times, first, 0)
    return data[:first] + data[first:last] * times + end


def zip_dictionary() -> bytes:
    """An LZMA member with a dictionary of 4 GB."""
    data = zipped(zipfile.ZIP_LZMA, b"abc" * 100)
    return replaced(data, b"0.png\x09\x04\x05\x00", 10, b"\xff\xff\xff\xff")


def zip_bzip2_bomb(size: int = 200 * MIB) -> bytes:
    """A bzip2 member with a stated size of 1 kB that unpacks to 200 MB."""
    return _false_size(bz2.compress(bytes(size)), zipfile.ZIP_BZIP2)


def zip_lzma_bomb(size: int = 200 * MIB) -> bytes:
    """The same with LZMA."""
    chain = [{"id": lzma.FILTER_LZMA1, "preset": 0, "dict_size": 4096}]
    packed = lzma.compress(bytes(size), lzma.FORMAT_RAW, filters=chain)
    return _false_size(b"\x09\x04\x05\x00\x5d" + struct.pack("<L", 4096) + packed, zipfile.ZIP_LZMA)


def zip_deflate_bomb(size: int = 200 * MIB) -> bytes:
    """The same with deflate."""
    packer = zlib.compressobj(1, zlib.DEFLATED, -15)
    packed = b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()
    return _false_size(packed, zipfile.ZIP_DEFLATED)


def _false_size(packed: bytes, method: int) -> bytes:
    return raw_zip(ZipEntry(b"0.png", bytes(1000), packed, method))


def zip_symlink() -> bytes:
    """A symbolic link."""
    return raw_zip(ZipEntry(b"0.png", b"/etc/passwd", host=3, mode=stat.S_IFLNK | 0o777))


def zip_unicode_path() -> bytes:
    """A name that an extra field replaces by one outside of the archive."""
    return raw_zip(ZipEntry(b"0.png", b"a", extra=unicode_path(b"../../0.png", b"0.png")))


def zip_unicode_path_of_another_name() -> bytes:
    """The same with the checksum of another name."""
    return raw_zip(ZipEntry(b"0.png", b"a", extra=unicode_path(b"../../0.png", b"1.png")))


def zip_extra_fields(entries: int = 300) -> bytes:
    """Entries with 16,000 empty extra fields each."""
    extra = struct.pack("<HH", 0x9999, 0) * 16_000
    return raw_zip(*[ZipEntry(b"%d.png" % number, extra=extra) for number in range(entries)])


def zip_long_names(entries: int = 400) -> bytes:
    """A central directory with names of 64 kB."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for number in range(entries):
            archive.writestr(f"{number:05}" + "x" * 65000, b"")
    return file.getvalue()


def tar_sparse() -> bytes:
    """A member with a hole of 10 GB."""
    info = bytearray(header("0.png", 512, tarfile.GNUTYPE_SPARSE))
    info[386:410] = b"%011o\0%011o\0" % (0, 512)
    info[483:495] = b"%011o\0" % (8 << 30)
    return with_checksum(bytes(info)) + bytes(512 + 1024)


def tar_sparse_extensions(size: int = 8 * MIB) -> bytes:
    """A sparse member with an endless sparse map."""
    info = bytearray(tar_sparse()[:512])
    info[482] = 1
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    part = (b"%011o\0%011o\0" % (0, 0)) * 21 + b"\1" + bytes(7)
    return bytes(info) + part * (size // 512)


def tar_sparse_records() -> bytes:
    """The same with a pax extended header."""
    sparse = {"GNU__sparse__major": "1", "GNU__sparse__minor": "0", "GNU__sparse__realsize": str(10 << 30)}
    return records(**sparse) + header("0.png", 512) + bytes(512 + 1024)


def tar_negative_size() -> bytes:
    """A negative size, which points back to the member's own header."""
    info = bytearray(header("0.png"))
    info[124:136] = (-512).to_bytes(12, signed=True)
    return with_checksum(bytes(info)) + bytes(1024)


def tar_record_size() -> bytes:
    """A pax record with an invalid size."""
    return records(size="-512") + header("0.png", 1) + bytes(512 + 1024)


def tar_record_length() -> bytes:
    """A pax record of length 0."""
    text = b"0 path=x\n"
    return header("pax", len(text), tarfile.XHDTYPE) + padded(text) + header("0.png", 1) + bytes(512 + 1024)


def tar_long_name(size: int = MIB - 100) -> bytes:
    """A name of a megabyte."""
    return records(path="x" * size) + header("0.png", 1) + bytes(512 + 1024)


def tar_global_records(size: int = 32 * MIB) -> bytes:
    """Global records of different names, which apply to all following entries."""
    parts = []
    for number in range(size // MIB):
        data = records(**{f"x{number}": "x" * (MIB - 100)})
        parts += [with_checksum(data[:156] + tarfile.XGLTYPE + data[157:512]), data[512:]]
    return b"".join([*parts, header("0.png", 1), padded(b"a"), bytes(1024)])


def tar_headers(size: int = 32 * MIB) -> bytes:
    """Long-name headers without a member."""
    return (header("x", 512, tarfile.GNUTYPE_LONGNAME) + b"x" * 512) * (size // 1024)


def tar_many_bytes(files: int = 200) -> bytes:
    """Members of 5 MB each."""
    return (header("0.png", 5 * MIB) + bytes(5 * MIB)) * (files // 50) + bytes(1024)


def gzip_members(size: int = 8 * MIB) -> bytes:
    """A .tar.gz of many empty gzip members."""
    return gzip.compress(b"") * (size // 20)


def gzip_name(size: int = 8 * MIB) -> bytes:
    """A .tar.gz whose file name in the gzip header does not end."""
    return b"\x1f\x8b\x08\x08" + bytes(6) + b"x" * size


def gzip_bomb(size: int = 2048 * MIB) -> bytes:
    """2 GB of zeros in 9 MB."""
    packer = zlib.compressobj(1, zlib.DEFLATED, 31)
    start = packer.compress(header("0.png", 1) + bytes(512))
    return start + b"".join(packer.compress(bytes(MIB)) for _ in range(size // MIB)) + packer.flush()


def bzip2_streams(size: int = MIB) -> bytes:
    """A .tar.bz2 of many empty streams."""
    return bz2.compress(b"") * (size // 14)


def bzip2_bomb(size: int = 2048 * MIB) -> bytes:
    """2 GB of zeros in 2 kB."""
    return bz2.compress(header("0.png", 1) + bytes(512)) + bz2.compress(bytes(40 * MIB)) * (size // MIB // 40)


def xz_streams(size: int = MIB) -> bytes:
    """A .tar.xz of many empty streams."""
    return lzma.compress(b"") * (size // 32)


def xz_bomb(size: int = 2048 * MIB) -> bytes:
    """2 GB of zeros in 300 kB."""
    start = lzma.compress(header("0.png", 1) + bytes(512), preset=0)
    return start + lzma.compress(bytes(40 * MIB), preset=0) * (size // MIB // 40)


def xz_dictionary() -> bytes:
    """A .tar.xz that asks for a dictionary of 4 GB: xz-file-format.txt, sections 3.1 and 5.3.1."""
    data = lzma.compress(header("0.png", 1) + bytes(512 + 1024), preset=0)
    length = 4 * (data[12] + 1)
    block = bytearray(data[12 : 12 + length])
    block[block.index(b"\x21\x01") + 2] = 40
    block[-4:] = struct.pack("<L", zlib.crc32(block[:-4]))
    return data[:12] + bytes(block) + data[12 + length :]


SUFFIXES = {"zip": "zip", "tar": "tar", "gzip": "tar.gz", "bzip2": "tar.bz2", "xz": "tar.xz"}
ARCHIVES: dict[str, Callable[[], bytes]] = {
    f"{name}.{SUFFIXES[kind]}": builder
    for name, builder in list(globals().items())
    if (kind := name.partition("_")[0]) in SUFFIXES and name != kind
}
