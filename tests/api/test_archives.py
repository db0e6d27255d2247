import gzip
import io
import random
import tarfile
import tempfile
import time
import zipfile
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archives import ArchiveLimits, open_archive
from api.errors import Problem
from tests.pictures import zipped

LIMITS = ArchiveLimits(files=10, file_bytes=100_000, unpacked_bytes=300_000)


def read(data: bytes) -> dict[str, bytes]:
    """From a real file, as an upload of some size is: it refuses other things than BytesIO does."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        with open_archive(file, LIMITS) as archive:
            found = dict(archive.members())
            assert {name: whole[:8] for name, whole in found.items()} == dict(archive.members(8))
            return found


def refused(data: bytes) -> Problem:
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
        problem = refused(data)
        assert problem.status == 400
        assert "unsafe path" in problem.detail


@pytest.mark.parametrize(
    "inner",
    [zipped({"1.png": b"a"}), gzip.compress(b"a"), tar_of((member("1.png", 1), b"a"))],
    ids=["zip", "gzip", "tar"],
)
def test_archives_within(inner: bytes) -> None:
    problem = refused(zipped({"inner.png": inner}))
    assert problem.status == 400
    assert "archive within" in problem.detail


def test_zeros_that_unpack_to_more_than_a_picture() -> None:
    for data in (
        zipped({"x.png": bytes(5_000_000)}),
        tar_of((member("x.png", 5_000_000), bytes(5_000_000))),
        tar_of((member("x.png", 200_000), bytes(200_000)), mode="w:gz"),
    ):
        problem = refused(data)
        assert problem.status == 413
        assert "100000 bytes" in problem.detail


def test_many_files_that_unpack_to_too_much() -> None:
    files = {f"{i}.png": bytes(90_000) for i in range(4)}
    assert "300000 bytes" in refused(zipped(files)).detail
    packed = tar_of(*[(member(name, len(data)), data) for name, data in files.items()], mode="w:gz")
    assert "300000 bytes" in refused(packed).detail


def test_a_lie_about_the_size() -> None:
    data = bytearray(zipped({"x.png": bytes(150_000)}))
    for at in (data.index(b"PK\x03\x04") + 22, data.index(b"PK\x01\x02") + 24):
        data[at : at + 4] = (10).to_bytes(4, "little")
    assert refused(bytes(data)).status in (413, 422)


def test_too_many_entries() -> None:
    assert refused(zipped({f"{i}.png": b"" for i in range(21)})).status == 413
    assert refused(tar_of(*[(member(f"{i}.png"), b"") for i in range(21)])).status == 413


def test_a_header_that_claims_a_gigabyte() -> None:
    header = member("pax", 1 << 30, tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)
    problem = refused(header + bytes(2048))
    assert problem.status == 413
    assert "header" in problem.detail


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices(kind: bytes) -> None:
    problem = refused(tar_of((member("x.png", kind=kind), b"")))
    assert problem.status == 400
    assert "link or device" in problem.detail


def test_a_file_without_a_name_is_read_like_any_other() -> None:
    for name in (".", "./."):
        assert read(tar_of((member(name, 1), b"a"))) == {"": b"a"}


def test_encrypted_zip() -> None:
    data = bytearray(zipped({"x.png": b"abc"}))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    problem = refused(bytes(data))
    assert problem.status == 415
    assert "encrypted" in problem.detail


@pytest.mark.parametrize("data", [b"", b"text", b"\x89PNG\r\n\x1a\n" + bytes(600), b"7z\xbc\xaf\x27\x1c"])
def test_other_files(data: bytes) -> None:
    assert refused(data).status == 415


def test_damaged_archives_never_fail_otherwise() -> None:
    """Bytes turned over at random: what comes back is the files or a Problem, never another exception."""
    chance = random.Random(0)
    files = {f"{i}.png": chance.randbytes(700) for i in range(3)}
    stored = io.BytesIO()
    with zipfile.ZipFile(stored, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    members = [(member(name, len(content)), content) for name, content in files.items()]
    originals = [zipped(files), stored.getvalue(), tar_of(*members), tar_of(*members, mode="w:gz")]
    refusals = 0
    for original in originals:
        assert read(original) == files
        for _ in range(300):
            damaged = bytearray(original)
            for _ in range(chance.randint(1, 8)):
                damaged[chance.randrange(len(damaged))] = chance.randrange(256)
            try:
                read(
                    bytes(damaged[: chance.randint(1, len(damaged))])
                    if chance.random() < 0.3
                    else bytes(damaged)
                )
            except Problem:
                refusals += 1
    assert refusals > 300


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
def test_fields_at_their_extremes(original: bytes, changes: list[tuple], padding: int, ahead: bool) -> None:
    """Numbers of any size written anywhere, zeros before or after: the files or a Problem, nothing else."""
    data = bytearray(original)
    for at, size, value in changes:
        at %= len(data)
        data[at : at + size] = (value % 256**size).to_bytes(size, "little")
    whole = bytes(padding) + bytes(data) if ahead else bytes(data) + bytes(padding)
    with suppress(Problem):
        read(whole)


def test_a_directory_at_a_wrong_place_in_a_real_file() -> None:
    data = bytearray(zipped({"1.png": bytes(range(256)) * 300}))
    end = data.rindex(b"PK\x05\x06")
    data[end + 16 : end + 20] = (2**31).to_bytes(4, "little")
    assert refused(bytes(data)).status in (400, 422)


def test_an_entry_without_a_name() -> None:
    data = zipped({"x": b"abc"})
    nameless = data.replace(b"x", b"", 2)
    assert refused(nameless).status == 422


def test_members_with_holes() -> None:
    info = member("sparse.png", 1000, tarfile.GNUTYPE_SPARSE)
    header = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    header[386:410] = b"%011o\0%011o\0" % (0, 1000)
    header[483:495] = b"%011o\0" % (90_000,)
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    problem = refused(bytes(header) + bytes(1024 + 10240))
    assert problem.status == 400
    assert "holes" in problem.detail


def test_a_plain_tar_has_a_limit_on_all_it_holds() -> None:
    data = tar_of(*[(member(f"{i}.png", 90_000), bytes(90_000)) for i in range(4)])
    assert "300000 bytes" in refused(data).detail


def test_a_full_disk_is_not_the_clients_fault() -> None:
    class Full(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(28, "No space left on device")

    data = zipped({"1.png": b"a"})
    with open_archive(io.BytesIO(data), LIMITS) as archive:
        archive._file = Full(data)
        with pytest.raises(OSError, match="No space"):
            list(archive.members())


def test_reading_ends_with_the_time() -> None:
    for data in (zipped({"1.png": b"a"}), tar_of((member("1.png", 1), b"a"), mode="w:gz")):
        with (
            pytest.raises(TimeoutError),
            open_archive(io.BytesIO(data), LIMITS, time.monotonic() - 1) as archive,
        ):
            list(archive.members())
