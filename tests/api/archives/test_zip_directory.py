import io
import stat
import struct
import time
import zipfile

import pytest

from api.archives.members import ArchiveLimits
from api.archives.zip_directory import Entry, iter_entries
from api.errors import Problem
from tests.abuse.archives import ZipEntry, raw_zip, unicode_path, zip_extra_fields
from tests.pictures import zipped

LIMITS = ArchiveLimits(files=1000, file_bytes=1 << 20, unpacked_bytes=1 << 24)
NAME = b"\xff.png"


def read(data: bytes, limits: ArchiveLimits = LIMITS) -> dict[str, Entry]:
    return dict(iter_entries(io.BytesIO(data), limits, float("inf")))


@pytest.mark.parametrize(
    ("extra", "name"),
    [
        (unicode_path("写.png".encode(), NAME), "写.png"),
        (b"UT\5\0\3abcd" + unicode_path("写.png".encode(), NAME), "写.png"),
        (unicode_path("写.png".encode(), b"1.png"), "\xa0.png"),  # the checksum of another name
        (unicode_path("写.png".encode(), NAME, version=2), "\xa0.png"),
        (unicode_path(b"", NAME), "\xa0.png"),
        (unicode_path(b"\xe9.png", NAME), "é.png"),  # not UTF-8
        (unicode_path("写.png".encode(), NAME)[:7], "\xa0.png"),
        (b"up", "\xa0.png"),
        (b"", "\xa0.png"),
    ],
)
def test_names_of_info_zip(extra: bytes, name: str) -> None:
    assert list(read(raw_zip(ZipEntry(NAME, b"a", extra=extra)))) == [name]


@pytest.mark.parametrize("flags", [0, 0x800])
@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("ä.png".encode(), "ä.png"),  # macOS and 7-Zip do not set the flag
        ("写真.png".encode(), "写真.png"),
        (b"\x84.png", "ä.png"),  # code page 437, as DOS and Windows write it
        (b"\xe9\x80.png", "ΘÇ.png"),
        ("表.png".encode("cp932"), "ò\uff3c.png"),
    ],
)
def test_names_with_and_without_the_flag_of_utf8(written: bytes, name: str, flags: int) -> None:
    assert list(read(raw_zip(ZipEntry(written, flags=flags)))) == [name]


@pytest.mark.parametrize(
    ("host", "kind", "special"),
    [
        (3, stat.S_IFLNK, True),
        (19, stat.S_IFLNK, True),
        (3, stat.S_IFIFO, True),
        (3, stat.S_IFCHR, True),
        (3, stat.S_IFREG, False),
        (3, stat.S_IFDIR, False),
        (3, 0, False),
        (0, stat.S_IFLNK, False),  # MS-DOS has no such attributes
    ],
)
def test_special_files(host: int, kind: int, special: bool) -> None:
    [entry] = read(raw_zip(ZipEntry(b"1.png", host=host, mode=kind | 0o644))).values()
    assert entry.is_special == special


def test_a_comment_and_what_stands_before_the_archive() -> None:
    file = io.BytesIO(zipped({"1.png": b"a"}))
    with zipfile.ZipFile(file, "a") as archive:
        archive.comment = b"x" * 65_535
    data = file.getvalue()
    assert read(data).keys() == {"1.png"}
    assert read(b"PK\3\4" * 5 + data)["1.png"].offset == 20
    assert read(data[:-1]).keys() == {"1.png"}


def end_of(size: int, offset: int) -> bytes:
    """The end of the directory of one entry."""
    return struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 1, 1, size, offset, 0)


def test_the_end_of_the_directory_in_64_bits() -> None:
    data = zipped({"1.png": b"abc"})
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    end_64 = struct.pack("<4sQ2H2L4Q", b"PK\6\6", 44, 45, 45, 0, 0, 1, 1, end - start, start)
    locator = struct.pack("<4sLQL", b"PK\6\7", 0, end, 1)
    rest = end_64 + locator + end_of(2**32 - 1, 2**32 - 1)
    assert read(data[:end] + rest) == read(data)
    with pytest.raises(Problem, match="not at the stated offset"):
        read(data[:end] + b"\0" + rest)


@pytest.mark.parametrize(("numbers", "expected"), [(3, True), (2, False), (0, False)])
def test_an_entry_with_its_numbers_in_64_bits(numbers: int, expected: bool) -> None:
    data = zipped({"1.png": b"abc"})
    start, end = data.index(b"PK\1\2"), data.index(b"PK\5\6")
    [entry] = read(data).values()
    in_64_bits = struct.pack("<3Q", entry.size, entry.compressed_size, entry.offset)[: 8 * numbers]
    extra = struct.pack("<HH", 1, len(in_64_bits)) + in_64_bits
    changed = bytearray(data[start:end])
    changed[20:28] = b"\xff" * 8
    changed[42:46] = b"\xff" * 4
    changed[30:32] = struct.pack("<H", len(extra))
    written = data[:start] + changed + extra + end_of(len(changed + extra), start)
    if expected:
        assert read(written) == read(data)
    else:
        with pytest.raises(Problem, match="damaged"):
            read(written)


@pytest.mark.parametrize("change", [-1, 1, 46])
def test_a_directory_of_another_size_than_stated(change: int) -> None:
    data = bytearray(zipped({"1.png": b"a", "2.png": b"b"}))
    end = data.rindex(b"PK\5\6")
    size = int.from_bytes(data[end + 12 : end + 16], "little")
    data[end + 12 : end + 16] = (size + change).to_bytes(4, "little")
    with pytest.raises(Problem) as caught:
        read(bytes(data))
    assert caught.value.status == 422


def test_time() -> None:
    """Of extra fields, too, of which one entry may have sixteen thousand."""
    data, limits = zip_extra_fields(200), ArchiveLimits(20_000, 1, 1)
    started_at = time.process_time()
    assert len(read(data, limits)) == 200
    assert time.process_time() - started_at < 1
    with pytest.raises(TimeoutError):
        next(iter_entries(io.BytesIO(data), limits, time.monotonic() - 1))
