"""Archives made and read."""

import io
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from typing import IO

import pytest

from api.archives import ArchiveLimits, open_archive
from api.errors import Problem
from tests.abuse.archives import (
    ZipEntry,
    header,
    padded,
    raw_zip,
    unicode_path,
    with_checksum,
)
from tests.pictures import zipped

LIMITS = ArchiveLimits(files=10, file_bytes=100_000, unpacked_bytes=300_000)


def read_archive(file: IO[bytes], limits: ArchiveLimits) -> Iterator[tuple[str, bytes]]:
    with open_archive(file, limits) as archive:
        yield from archive.iter_files()


def read(data: bytes) -> dict[str, bytes]:
    """Reads from a real file, whose errors for bad offsets differ from those of BytesIO."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        with open_archive(file, LIMITS) as archive:
            found = dict(archive.iter_files())
            assert {name: content[:8] for name, content in found.items()} == dict(archive.iter_files(8))
            return found


def rejection(data: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        read(data)
    return caught.value


def tar_of(*members: tuple[tarfile.TarInfo, bytes], mode: str = "w") -> bytes:
    file = io.BytesIO()
    with tarfile.open(mode=mode, fileobj=file) as archive:  # type: ignore[call-overload]
        for member, content in members:
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def member(name: str, size: int = 0, kind: bytes = tarfile.REGTYPE) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.size, info.type, info.linkname = size, kind, "/etc/passwd" if kind == tarfile.SYMTYPE else ""
    return info


def v7(name: str, content: bytes) -> bytes:
    """A member as Unix V7 wrote it, without a magic."""
    return with_checksum(header(name, len(content), b"\0")[:257] + bytes(255)) + padded(content)


def seeds() -> list[bytes]:
    files = {f"{i}.png": bytes([i]) * 300 for i in range(3)}
    members = [(member(name, len(content)), content) for name, content in files.items()]
    found = [zipped(files), *[tar_of(*members, mode=mode) for mode in ("w", "w:gz", "w:bz2", "w:xz")]]
    entries = [ZipEntry(b"\xff%d.png" % i, bytes([i]) * 300, host=3, mode=0o100644) for i in range(3)]
    found += [
        raw_zip(*[one._replace(extra=unicode_path(b"%d" % i, one.name)) for i, one in enumerate(entries)]),
        b"".join(v7(name, content) for name, content in files.items()) + bytes(1024),
    ]
    for kind in (zipfile.ZIP_STORED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA):
        file = io.BytesIO()
        with zipfile.ZipFile(file, "w", kind) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
        found.append(file.getvalue())
    for layout in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        file = io.BytesIO()
        with tarfile.open(mode="w", fileobj=file, format=layout) as tar:
            long = tarfile.TarInfo("x" * 200 + ".png")
            long.size, long.pax_headers = 3, {"comment": "x"}
            tar.addfile(long, io.BytesIO(b"abc"))
        found.append(file.getvalue())
    return found


def ustar(name: bytes, prefix: bytes = b"", magic: bytes = b"ustar\0", kind: bytes = b"0") -> bytes:
    """A member of one byte."""
    block = header("x", 1, kind)
    named = name.ljust(100, b"\0") + block[100:257] + magic.ljust(8, b"0") + block[265:345]
    return with_checksum(named + prefix.ljust(155, b"\0") + bytes(12)) + padded(b"a")


def gnu_long_name(name: bytes) -> bytes:
    return header("././@LongLink", len(name) + 1, tarfile.GNUTYPE_LONGNAME) + padded(name + b"\0")
