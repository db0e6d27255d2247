import bz2
import errno
import gzip
import io
import json
import lzma
import random
import stat
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

from api.archives import ArchiveLimits, names, open_archive
from api.archives.members import parsing_errors
from api.errors import BadRequestProblem, BrokenProblem, BusyProblem, Problem
from model.predictions import encode
from tests.abuse.archives import (
    ARCHIVES,
    ZipEntry,
    header,
    padded,
    raw_zip,
    records,
    replaced,
    unicode_path,
    with_checksum,
    zip_overlap,
)
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
    with_padding = bytes(padding) + bytes(data) if prefix else bytes(data) + bytes(padding)
    tracemalloc.start()
    with suppress(Problem):
        read(with_padding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70 << 20  # a dictionary of 64 MiB, and 3 files


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


EXPECTED = {
    "zip_directory_offset.zip": 422,
    "zip_member_offset.zip": 422,
    "zip_bzip2_wrong_byte.zip": 422,
    "zip_empty_name.zip": 400,
    "zip_overlap.zip": 413,  # by these limits; 400 by larger ones
    "zip_dictionary.zip": {"0.png": b"abc" * 100},
    "zip_bzip2_bomb.zip": 422,
    "zip_lzma_bomb.zip": 422,
    "zip_deflate_bomb.zip": 422,
    "zip_symlink.zip": 400,
    "zip_unicode_path.zip": 400,
    "zip_unicode_path_of_another_name.zip": {"0.png": b"a"},
    "zip_extra_fields.zip": 413,
    "zip_long_names.zip": 413,
    "tar_sparse.tar": 400,
    "tar_sparse_extensions.tar": 400,
    "tar_sparse_records.tar": 400,
    "tar_negative_size.tar": 422,
    "tar_record_size.tar": 422,
    "tar_record_length.tar": 422,
    "tar_long_name.tar": 400,
    "tar_global_records.tar": {"0.png": b"a"},
    "tar_headers.tar": 413,
    "tar_many_bytes.tar": 413,
    "gzip_members.tar.gz": 422,
    "gzip_name.tar.gz": 422,
    "gzip_bomb.tar.gz": 413,
    "bzip2_streams.tar.bz2": 422,
    "bzip2_bomb.tar.bz2": 413,
    "xz_streams.tar.xz": 422,
    "xz_bomb.tar.xz": 413,
    "xz_dictionary.tar.xz": 413,
}


def test_every_hostile_archive_is_expected() -> None:
    assert EXPECTED.keys() == ARCHIVES.keys()


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives(name: str) -> None:
    smaller = {name: 40 << 20 for name in ARCHIVES if name.partition(".")[0].endswith("_bomb")}
    smaller |= {"gzip_members.tar.gz": 1 << 20, "gzip_name.tar.gz": 1 << 20, "tar_headers.tar": 1 << 20}
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


def ustar(name: bytes, prefix: bytes = b"", magic: bytes = b"ustar\0", kind: bytes = b"0") -> bytes:
    """A member of one byte."""
    block = header("x", 1, kind)
    named = name.ljust(100, b"\0") + block[100:257] + magic.ljust(8, b"0") + block[265:345]
    return with_checksum(named + prefix.ljust(155, b"\0") + bytes(12)) + padded(b"a")


def gnu_long_name(name: bytes) -> bytes:
    return header("././@LongLink", len(name) + 1, tarfile.GNUTYPE_LONGNAME) + padded(name + b"\0")


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (ustar(b"1.png"), "1.png"),
        (ustar("é.png".encode()), "é.png"),
        (ustar(b"\xe9.png"), "é.png"),  # Latin-1
        (ustar(b"\xe9.png", "写".encode()), "å\x86\x99/é.png"),
        (ustar(b"1.png", "写".encode()), "写/1.png"),
        (ustar(b"x" * 100, b"a" * 155), "a" * 155 + "/" + "x" * 100),
        (ustar(b"1.png", b"13333333333\0", b"ustar  \0"), "1.png"),  # GNU has times there
        (ustar(b"1.png", b"a", b"\0" * 8), "1.png"),  # V7 has nothing there
        (gnu_long_name(b"x" * 200) + ustar(b"x" * 100, magic=b"ustar  \0"), "x" * 200),
        (gnu_long_name(b"\xe9" * 200) + ustar(b"x", magic=b"ustar  \0"), "é" * 200),
        (records(path="写.png") + ustar(b"x"), "写.png"),
        (records(path=b"\xe9.png") + ustar(b"x"), "é.png"),  # GNU tar 1.23
        (records(path=b"\xe9.png", hdrcharset="BINARY") + ustar(b"x"), "é.png"),
        (records(path="写.png", hdrcharset="BINARY") + ustar(b"x"), "写.png"),
        (records(path=b"") + ustar(b"1.png"), "1.png"),  # an empty record is none
        (records(path=b"a/b/") + ustar(b"1.png"), "a/b"),
        (ustar(b"folder", kind=b"D") + ustar(b"1.png"), "1.png"),  # GNU's incremental archives
        (ustar(b"label", kind=b"V") + ustar(b"1.png"), "1.png"),
    ],
)
def test_names_in_tars(data: bytes, name: str) -> None:
    assert read(data + bytes(1024)) == {name: b"a"}


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(["ustar", "gnu", "pax", "zip", "flag", "Info-ZIP"]))
def test_any_bytes_as_a_name_give_valid_json_or_a_problem(name: bytes, kind: str) -> None:
    flags, extra = 0x800 * (kind == "flag"), b""
    if kind == "Info-ZIP":
        extra = unicode_path(name, b"1.png")
    if kind == "ustar":
        data = ustar(name[:100], name[100:255]) + bytes(1024)
    elif kind == "gnu":
        data = gnu_long_name(name) + ustar(b"1.png") + bytes(1024)
    elif kind == "pax":
        data = records(path=name) + ustar(b"1.png") + bytes(1024)
    else:
        data = raw_zip(ZipEntry(b"1.png" if extra else name, b"a", flags=flags, extra=extra))
    try:
        found = list(read(data))
    except BadRequestProblem:
        return
    rows = json.loads(encode([(path, 0.5) for path in found]).decode("ascii"))
    assert [row["image_id"] for row in rows] == found
    "".join(found).encode()  # fails for surrogates


ALPHABET = st.characters(exclude_categories=["Cs"], exclude_characters="/\\:\0")
PART = st.text(ALPHABET, min_size=1, max_size=20).filter(lambda part: not part.startswith("."))
TREES = st.dictionaries(
    st.lists(PART, min_size=1, max_size=4).map("/".join).filter(lambda path: not names.is_system_file(path)),
    st.binary(max_size=300).map(lambda content: b"\x89" + content),
    max_size=8,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(TREES, st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]))
def test_a_tree_packed_as_tar(tree: dict[str, bytes], mode: str) -> None:
    for layout in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        file = io.BytesIO()
        with tarfile.open(mode=mode, fileobj=file, format=layout) as archive:  # type: ignore[call-overload]
            for name, content in tree.items():
                archive.addfile(member(name, len(content)), io.BytesIO(content))
        assert read(file.getvalue()) == tree


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    TREES,
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
)
def test_a_tree_packed_as_zip(tree: dict[str, bytes], method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    assert read(file.getvalue()) == tree


@pytest.mark.parametrize("name", ["folder/", "folder\\", "a\\b\\", "é\\"])
def test_folders_in_zips(name: str) -> None:
    data = raw_zip(ZipEntry(name.encode()), ZipEntry(name.encode() + b"1.png", b"a"))
    assert read(data) == {names.archive_path(name + "1.png"): b"a"}


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

    monkeypatch.setattr("api.archives.names.archive_path", fail)
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
