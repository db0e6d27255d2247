"""Hostile archives: decompression bombs, and malformed files that make libraries fail."""

import bz2
import gzip
import io
import lzma
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable

MIB = 1 << 20


def zipped(kind: int, *contents: bytes) -> bytes:
    """A zip of files 0.png, 1.png ..."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", kind) as archive:
        for number, content in enumerate(contents):
            archive.writestr(f"{number}.png", content)
    return file.getvalue()


def header(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE, **fields: object) -> bytes:
    """A tar's header of a member."""
    info = tarfile.TarInfo(name)
    info.size, info.type = size, kind
    for field, value in fields.items():
        setattr(info, field, value)
    return info.tobuf(tarfile.GNU_FORMAT)


def padded(data: bytes) -> bytes:
    """Zero-padded to the block size of a tar."""
    return data + bytes(-len(data) % 512)


def records(**values: str) -> bytes:
    """A pax extended header of a tar."""
    text = b""
    for key, value in values.items():
        line = f" {key.replace('__', '.')}={value}\n".encode()
        length = len(line) + len(str(len(line) + 2))
        text += str(length).encode() + line
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
    return _false_size(b"a", zipfile.ZIP_STORED, b"", b"a")


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


def _false_size(packed: bytes, kind: int, name: bytes = b"0.png", content: bytes = bytes(1000)) -> bytes:
    """A zip of one member whose stated size and checksum are those of `content`."""
    shared = struct.pack(
        "<HHHHLLLHH", 0, kind, 0, 0, zlib.crc32(content), len(packed), len(content), len(name), 0
    )
    local = b"PK\3\4" + struct.pack("<H", 20) + shared + name
    entry = b"PK\1\2" + struct.pack("<HH", 20, 20) + shared + struct.pack("<HHHLL", 0, 0, 0, 0, 0) + name
    at = len(local) + len(packed)
    return local + packed + entry + struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, len(entry), at, 0)


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
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    return bytes(info) + bytes(512 + 1024)


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
    info[148:156] = b" " * 8
    info[148:156] = b"%06o\0 " % sum(info)
    return bytes(info) + bytes(1024)


def tar_record_size() -> bytes:
    """A pax record with an invalid size."""
    return records(size="-512") + header("0.png", 1) + bytes(512 + 1024)


def tar_record_length() -> bytes:
    """A pax record of length 0."""
    text = b"0 path=x\n"
    return header("pax", len(text), tarfile.XHDTYPE) + padded(text) + header("0.png", 1) + bytes(512 + 1024)


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


ARCHIVES: dict[str, Callable[[], bytes]] = {
    f"{name}.{'tar.gz' if name.startswith('gzip') else name.split('_')[0]}": builder
    for name, builder in list(globals().items())
    if name.startswith(("zip_", "tar_", "gzip_"))
}
