import errno
import gzip
import io
import random
import struct
import tarfile
import tempfile
import time
import tracemalloc
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from typing import IO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archives import ArchiveLimits, open_archive
from api.archives.members import parsing_errors
from api.errors import BadRequestProblem, BrokenProblem, BusyProblem, Problem
from tests.abuse.archives import ARCHIVES, replaced, zip_overlap
from tests.abuse.archives import zipped as zipped_as
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


@pytest.mark.parametrize("name", ["../../x.png", "/etc/x.png", "a/../../x.png", "..\\x.png", "C:/x.png"])
def test_unsafe_paths(name: str) -> None:
    for data in (
        zipped({"1.png": b"a", name: b"b"}),
        tar_of((member("1.png", 1), b"a"), (member(name, 1), b"b")),
    ):
        problem = rejection(data)
        assert problem.status == 400
        assert "unsafe path" in problem.detail


@pytest.mark.parametrize(
    "inner",
    [zipped({"1.png": b"a"}), gzip.compress(b"a"), tar_of((member("1.png", 1), b"a"))],
    ids=["zip", "gzip", "tar"],
)
def test_nested_archives(inner: bytes) -> None:
    problem = rejection(zipped({"inner.png": inner}))
    assert problem.status == 400
    assert "archive within" in problem.detail


def test_members_over_the_size_of_a_picture() -> None:
    for data in (
        zipped({"x.png": bytes(5_000_000)}),
        tar_of((member("x.png", 5_000_000), bytes(5_000_000))),
        tar_of((member("x.png", 200_000), bytes(200_000)), mode="w:gz"),
    ):
        problem = rejection(data)
        assert problem.status == 413
        assert "100000 bytes" in problem.detail


def test_limit_of_all_unpacked_bytes() -> None:
    files = {f"{i}.png": bytes(90_000) for i in range(4)}
    assert "300000 bytes" in rejection(zipped(files)).detail
    packed = tar_of(*[(member(name, len(data)), data) for name, data in files.items()], mode="w:gz")
    assert "300000 bytes" in rejection(packed).detail


def test_a_false_size_in_the_headers() -> None:
    data = bytearray(zipped({"x.png": bytes(150_000)}))
    for at in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[at : at + 4] = (10).to_bytes(4, "little")
    assert rejection(bytes(data)).status in (413, 422)


def test_too_many_entries() -> None:
    assert rejection(zipped({f"{i}.png": b"" for i in range(21)})).status == 413
    assert rejection(tar_of(*[(member(f"{i}.png"), b"") for i in range(21)])).status == 413


def test_a_header_that_claims_a_gigabyte() -> None:
    header = member("pax", 1 << 30, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    problem = rejection(header + bytes(2048))
    assert problem.status == 413
    assert "header" in problem.detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices(kind: bytes) -> None:
    problem = rejection(tar_of((member("x.png", kind=kind), b"")))
    assert problem.status == 400
    assert "link or device" in problem.detail


def test_a_file_without_a_name_is_read() -> None:
    for name in (".", "./."):
        assert read(tar_of((member(name, 1), b"a"))) == {"": b"a"}


def test_encrypted_zip() -> None:
    data = bytearray(zipped({"x.png": b"abc"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    problem = rejection(bytes(data))
    assert problem.status == 415
    assert "encrypted" in problem.detail


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(600), b"7z\xbc\xaf\x27\x1c"])
def test_other_files(data: bytes) -> None:
    assert rejection(data).status == 415


def test_damaged_archives_raise_only_problems() -> None:
    """Random changes of bytes give the files or a Problem, never another exception."""
    rng = random.Random(0)
    files = {f"{i}.png": rng.randbytes(700) for i in range(3)}
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    members = [(member(name, len(content)), content) for name, content in files.items()]
    originals = [zipped(files), stored.getvalue(), tar_of(*members), tar_of(*members, mode="w:gz")]
    rejections = 0
    for original in originals:
        assert read(original) == files
        for _ in range(300):
            damaged = bytearray(original)
            for _ in range(rng.randint(1, 8)):
                damaged[rng.randrange(len(damaged))] = rng.randrange(256)
            try:
                read(bytes(damaged[: rng.randint(1, len(damaged))]) if rng.random() < 0.3 else bytes(damaged))
            except Problem:
                rejections += 1
    assert rejections > 300


def seeds() -> list[bytes]:
    files = {f"{i}.png": bytes([i]) * 300 for i in range(3)}
    members = [(member(name, len(content)), content) for name, content in files.items()]
    found = [zipped(files), tar_of(*members), tar_of(*members, mode="w:gz")]
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


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    st.sampled_from(seeds()),
    st.lists(
        st.tuples(st.integers(0, 5000), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1)), max_size=4
    ),
    st.integers(0, 600_000),
    st.booleans(),
)
def test_fields_at_their_extremes(original: bytes, changes: list[tuple], padding: int, prefix: bool) -> None:
    """Any number at any offset, with zero padding, gives the files or a Problem."""
    data = bytearray(original)
    for at, size, value in changes:
        at %= len(data)
        data[at : at + size] = (value % 256**size).to_bytes(size, "little")
    padded = bytes(padding) + bytes(data) if prefix else bytes(data) + bytes(padding)
    with suppress(Problem):
        read(padded)


def test_a_directory_at_a_wrong_place_in_a_real_file() -> None:
    data = bytearray(zipped({"1.png": bytes(range(256)) * 300}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = (2**31).to_bytes(4, "little")
    assert rejection(bytes(data)).status == 422


def test_an_entry_without_a_name() -> None:
    data = zipped({"x": b"abc"})
    nameless = data.replace(b"x", b"", 2)
    assert rejection(nameless).status == 422


def test_sparse_members() -> None:
    info = member("sparse.png", 1000, tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 1000)
    header[483:495] = b"%011o\0" % (90_000,)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    problem = rejection(bytes(header) + bytes(1024 + 10240))
    assert problem.status == 400
    assert "holes" in problem.detail


def test_limit_of_all_bytes_of_a_plain_tar() -> None:
    data = tar_of(*[(member(f"{i}.png", 90_000), bytes(90_000)) for i in range(4)])
    assert "300000 bytes" in rejection(data).detail


EXPECTED = {
    "zip_directory_offset.zip": 422,
    "zip_member_offset.zip": 422,
    "zip_bzip2_wrong_byte.zip": 422,
    "zip_empty_name.zip": {"": b"a"},
    "zip_overlap.zip": 413,  # by these limits; 400 by larger ones
    "zip_dictionary.zip": {"0.png": b"abc" * 100},
    "zip_bzip2_bomb.zip": 422,
    "zip_lzma_bomb.zip": 422,
    "zip_deflate_bomb.zip": 422,
    "zip_long_names.zip": 413,
    "tar_sparse.tar": 400,
    "tar_sparse_extensions.tar": 400,
    "tar_sparse_records.tar": 400,
    "tar_negative_size.tar": 422,
    "tar_record_size.tar": 422,
    "tar_record_length.tar": 422,
    "tar_headers.tar": 413,
    "tar_many_bytes.tar": 413,
    "gzip_members.tar.gz": 422,
    "gzip_name.tar.gz": 422,
    "gzip_bomb.tar.gz": 413,
}


def test_every_hostile_archive_is_expected() -> None:
    assert EXPECTED.keys() == ARCHIVES.keys()


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives(name: str) -> None:
    smaller = {"gzip_bomb.tar.gz": 40 << 20, "gzip_members.tar.gz": 1 << 20, "gzip_name.tar.gz": 1 << 20}
    smaller |= {"tar_headers.tar": 1 << 20}
    data = ARCHIVES[name](smaller[name]) if name in smaller else ARCHIVES[name]()  # type: ignore[call-arg]
    tracemalloc.start()
    started_at = time.process_time()
    try:
        outcome: object = read(data)
    except Problem as problem:
        outcome = problem.status
    seconds = time.process_time() - started_at
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome == EXPECTED[name]
    assert peak < 8 << 20
    assert seconds < 5


def test_members_that_overlap() -> None:
    with pytest.raises(Problem, match="overlaps") as caught:
        list(read_archive(io.BytesIO(zip_overlap(5)), ArchiveLimits(10, 2 << 20, 100 << 20)))
    assert caught.value.status == 400


@pytest.mark.parametrize(
    "kind", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]
)
def test_every_compression_method(kind: int) -> None:
    content = random.Random(1).randbytes(30_000) + bytes(60_000)
    data = zipped_as(kind, content, b"", b"x")
    assert read(data) == {"0.png": content, "1.png": b"", "2.png": b"x"}
    for max_bytes in (0, 1, 65_536, 89_999, 90_000, 90_001):
        with open_archive(io.BytesIO(data), LIMITS) as archive:
            assert next(archive.iter_files(max_bytes)) == ("0.png", content[:max_bytes])


def test_only_the_beginning_of_a_large_member_is_unpacked() -> None:
    data = zipped_as(zipfile.ZIP_DEFLATED, bytes(90_000))
    damaged = replaced(data, b"PK\1\2", -10, b"\xff" * 8)  # the end of the compressed data
    with open_archive(io.BytesIO(damaged), LIMITS) as archive:
        assert next(archive.iter_files(1000)) == ("0.png", bytes(1000))
        with pytest.raises(Problem):
            next(archive.iter_files())


def test_a_tar_whose_last_member_is_cut_short_is_refused_in_the_first_pass() -> None:
    data = tar_of((member("1.png", 2000), bytes(2000)))[:1500]
    with open_archive(io.BytesIO(data), LIMITS) as archive, pytest.raises(Problem, match="unexpected end"):
        list(archive.iter_files(10))


def test_a_damaged_header_is_not_taken_for_the_end() -> None:
    data = bytearray(tar_of((member("1.png", 1), b"a"), (member("2.png", 1), b"b")))
    data[1024] ^= 1
    assert rejection(bytes(data)).status == 422


def test_names_that_are_not_utf_8() -> None:
    data = tar_of((member("\udce9.png", 1), b"a"))
    assert list(read(data)) == ["\ufffd.png"]


class Failing(io.BytesIO):
    """A disk that fails from the `good`th read on."""

    def __init__(self, data: bytes, error: Exception, good: int) -> None:
        super().__init__(data)
        self._error, self._good = error, good

    def read(self, size: int | None = -1) -> bytes:
        self._good -= 1
        if self._good < 0:
            raise self._error
        return super().read(size)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EMFILE, errno.ENFILE])
@pytest.mark.parametrize("good", range(1, 9))
def test_server_errors_are_not_client_errors(code: int, good: int) -> None:
    for data in seeds():
        file = Failing(data, OSError(code, "of the machine"), good)
        outcome: object
        try:
            outcome = len(list(read_archive(file, LIMITS)))
        except OSError as error:
            outcome = errno.errorcode[error.errno]
        assert outcome in (errno.errorcode[code], 1, 3)  # a number if it was read before the error


def test_a_full_disk_while_a_tar_gz_is_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    class Full(io.BytesIO):
        def __init__(self, max_size: int) -> None:
            super().__init__()

        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(tempfile, "SpooledTemporaryFile", Full)
    with pytest.raises(OSError, match="No space"):
        list(read_archive(io.BytesIO(tar_of((member("1.png", 1), b"a"), mode="w:gz")), LIMITS))


@pytest.mark.parametrize("error", [KeyError("ours"), ValueError("ours"), OSError(errno.EINVAL, "ours")])
def test_internal_errors_are_not_client_errors(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise error

    monkeypatch.setattr("api.archives.members.check_name", fail)
    for data in seeds():
        with pytest.raises(type(error), match="ours"):
            list(read_archive(io.BytesIO(data), LIMITS))


@pytest.mark.parametrize(
    "error",
    [OSError("x"), OSError(errno.EINVAL, "x"), struct.error, KeyError("x"), RecursionError("x"), EOFError()],
)
def test_library_errors_are_client_errors(error: Exception) -> None:
    with pytest.raises(BrokenProblem, match="damaged"), parsing_errors():
        raise error


@pytest.mark.parametrize(
    "error", [MemoryError(), TimeoutError(), OSError(errno.ENOSPC, "x"), BusyProblem("x")]
)
def test_errors_that_are_passed_on(error: Exception) -> None:
    with pytest.raises(type(error)), parsing_errors():
        raise error


def test_deadline() -> None:
    for data in (zipped({"1.png": b"a"}), tar_of((member("1.png", 1), b"a"), mode="w:gz")):
        with (
            pytest.raises(TimeoutError),
            open_archive(io.BytesIO(data), LIMITS, time.monotonic() - 1) as archive,
        ):
            list(archive.iter_files())


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("ä.png".encode(), "ä.png"),  # macOS and 7-Zip do not set the flag
        ("写真.png".encode(), "写真.png"),
        (b"\x84.png", "ä.png"),  # code page 437, as DOS and Windows write it
        (b"\xe9\x80.png", "ΘÇ.png"),
    ],
)
def test_names_in_a_zip_without_the_flag_of_utf8(written: bytes, expected: str) -> None:
    placeholder = "x" * (len(written) - 4) + ".png"
    data = zipped({placeholder: b"picture"}).replace(placeholder.encode(), written)
    assert read(data) == {expected: b"picture"}


@pytest.mark.parametrize("name", ["../ä.png", "/ä.png", "a/../../ä.png"])
def test_unsafe_names_in_utf8_are_unsafe(name: str) -> None:
    written = name.encode()
    data = zipped({"x" * len(written): b"picture"}).replace(b"x" * len(written), written)
    with pytest.raises(BadRequestProblem):
        read(data)
