import bz2
import gzip
import io
import lzma
import random
import stat
import tarfile
import time
import zipfile

import pytest

from api.archives import ArchiveLimits, open_archive
from api.errors import Problem
from tests.abuse.archives import (
    ZipEntry,
    header,
    raw_zip,
    replaced,
    with_checksum,
    zip_overlap,
)
from tests.abuse.archives import zipped as zipped_as
from tests.api.archives.reading import LIMITS, member, read, read_archive, rejection, tar_of
from tests.pictures import zipped


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
    [zipped({"1.png": b"a"}), gzip.compress(b"a", mtime=0), tar_of((member("1.png", 1), b"a"))],
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
    problem = rejection(header("pax", 1 << 30, tarfile.XHDTYPE) + bytes(2048))
    assert problem.status == 413
    assert "header" in problem.detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices(kind: bytes) -> None:
    problem = rejection(tar_of((member("x.png", kind=kind), b"")))
    assert problem.status == 400
    assert "link or device" in problem.detail


def test_a_file_without_a_name() -> None:
    for name in (".", "./."):
        problem = rejection(tar_of((member(name, 1), b"a")))
        assert (problem.status, "no name" in problem.detail) == (400, True)


def test_encrypted_zip() -> None:
    data = bytearray(zipped({"x.png": b"abc"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    problem = rejection(bytes(data))
    assert problem.status == 415
    assert "encrypted" in problem.detail


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"", "something else"),
        (bytes(100), "something else"),
        (b"text", "something else"),
        (b"\x89PNG\r\n\x1a\n" + bytes(600), "something else"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\7\1\0", "a RAR archive"),
        (b"MSCF" + bytes(32), "a CAB archive"),
        (b"%PDF-1.7", "PDF"),
        (gzip.compress(b"text", mtime=0), "what it was decompressed to is something else"),
        (bz2.compress(b"%PDF-1.7"), "what it was decompressed to is PDF"),
        (lzma.compress(zipped({"1.png": b"a"})), "what it was decompressed to is a ZIP archive"),
        (gzip.compress(b"", mtime=0), "what it was decompressed to is something else"),
    ],
)
def test_other_files(data: bytes, kind: str) -> None:
    problem = rejection(data)
    assert problem.status == 415
    assert problem.detail.endswith(f" is {kind}" if "it was" not in kind else kind)


def test_damaged_archives_raise_only_problems() -> None:
    """Random changes of bytes give the files or a Problem, never another exception."""
    rng = random.Random(0)
    files = {f"{i}.png": rng.randbytes(700) for i in range(3)}
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    members = [(member(name, len(content)), content) for name, content in files.items()]
    modes = ("w", "w:gz", "w:bz2", "w:xz")
    originals = [zipped(files), stored.getvalue(), *[tar_of(*members, mode=mode) for mode in modes]]
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
    assert rejections > 500


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
    block = bytearray(header("sparse.png", 1000, tarfile.GNUTYPE_SPARSE))
    block[386:410] = b"%011o\0%011o\0" % (0, 1000)
    block[483:495] = b"%011o\0" % (90_000,)
    problem = rejection(with_checksum(bytes(block)) + bytes(1024 + 10240))
    assert problem.status == 400
    assert "holes" in problem.detail


def test_limit_of_all_bytes_of_a_plain_tar() -> None:
    data = tar_of(*[(member(f"{i}.png", 90_000), bytes(90_000)) for i in range(4)])
    assert "300000 bytes" in rejection(data).detail


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


def test_only_an_empty_file_is_a_folder_for_its_backslash() -> None:
    assert read(raw_zip(ZipEntry(b"1\\", b"a"))) == {"1": b"a"}


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFSOCK])
def test_special_files_in_zips(kind: int) -> None:
    special = ZipEntry(b"x.png", b"/etc/passwd", host=3, mode=kind | 0o777)
    problem = rejection(raw_zip(ZipEntry(b"1.png", b"a"), special))
    assert (problem.status, "link or device" in problem.detail) == (400, True)
    skipped = special._replace(name=b"__MACOSX/x.png")
    assert read(raw_zip(ZipEntry(b"1.png", b"a"), skipped)) == {"1.png": b"a"}


def test_an_empty_tar() -> None:
    assert read(tar_of()) == read(bytes(1024)) == {}


def test_deadline() -> None:
    for data in (zipped({"1.png": b"a"}), tar_of((member("1.png", 1), b"a"), mode="w:gz")):
        with (
            pytest.raises(TimeoutError),
            open_archive(io.BytesIO(data), LIMITS, time.monotonic() - 1) as archive,
        ):
            list(archive.iter_files())
