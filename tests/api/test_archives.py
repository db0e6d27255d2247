import gzip
import io
import random
import tarfile
import zipfile

import pytest

from api.archives import ArchiveLimits, read_archive
from api.errors import Problem
from tests.pictures import zipped

LIMITS = ArchiveLimits(files=10, file_bytes=100_000, unpacked_bytes=300_000)


def read(data: bytes) -> dict[str, bytes]:
    return dict(read_archive(io.BytesIO(data), LIMITS))


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
