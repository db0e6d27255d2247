import resource
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.serialization import set_crc32_options

from model import pth_file
from model.metadata import CheckpointError
from model.pth_file import read_pth
from tests.model.pth_file.files import entries_of, made, numbers, pickled, saved, storage, tensor, write

NO_ZIPS = [
    b"", b"x", b"text" * 100, b"\x80\x04garbage", b"PK\5\6", b"PK\5\6" + bytes(18),
    b"PK\5\6" + b"\xff" * 18,
]  # fmt: skip


@pytest.mark.parametrize("data", NO_ZIPS)
def test_no_zip(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match="x.pth is not a checkpoint that can be read: it is"):
        read_pth(tmp_path / "x.pth")


def test_format_before_1_6(tmp_path: Path) -> None:
    torch.save({"x": torch.ones(3)}, tmp_path / "x.pth", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="before 1.6; save it anew with a current PyTorch"):
        read_pth(tmp_path / "x.pth")


def test_saved_without_crc(tmp_path: Path) -> None:
    set_crc32_options(False)
    try:
        path = saved({"x": torch.ones(3)}, tmp_path)
    finally:
        set_crc32_options(True)
    with pytest.raises(CheckpointError, match="saved without its CRC-32"):
        read_pth(path)


@pytest.mark.parametrize("limit", ["FILE_BYTES", "PICKLE_BYTES"])
def test_limits_of_size(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved({"x": "x" * 1000}, tmp_path)
    monkeypatch.setattr(pth_file, limit, 1000)
    with pytest.raises(CheckpointError, match="has more than 1000 bytes"):
        read_pth(path)


def small(path: Path) -> bytes:
    """A file of every kind of value, as torch writes it."""
    x = numbers(torch.float32)
    state = nn.Linear(2, 2).state_dict()
    content = {"x": x, "y": x.T if x.ndim == 2 else x[0].T, "state": state, "p": nn.Parameter(x[0].clone())}
    content |= {
        "half": x.half(),
        "flags": x > 0,
        "b": x.bfloat16(),
        "plain": [1, 2.5, "text", None, True, (1, 2)],
    }
    return saved(content, path).read_bytes()


def read_or_refused(data: bytes, path: Path) -> dict[str, Any] | None:
    (path / "damaged.pth").write_bytes(data)
    message = f"{path / 'damaged.pth'} is not a checkpoint that can be read: "
    try:
        return read_pth(path / "damaged.pth")
    except CheckpointError as error:
        reason = str(error).removeprefix(message)
    assert 0 < len(reason) < min(500, len(message) + len(reason))
    return None


def test_truncated(tmp_path: Path) -> None:
    data = small(tmp_path)
    for length in {*np.linspace(0, len(data) - 1, 40, dtype=int), *range(len(data) - 120, len(data))}:
        assert read_or_refused(data[:length], tmp_path) is None


def test_flipped_bytes(tmp_path: Path) -> None:
    data, random = small(tmp_path), np.random.default_rng(0)
    whole, equal = read_pth(tmp_path / "x.pth"), 0
    for at in random.integers(0, len(data), 500):
        damaged = bytearray(data)
        damaged[at] ^= 1 << random.integers(8)
        content = read_or_refused(bytes(damaged), tmp_path)
        if content is not None:
            np.testing.assert_equal(content, whole)
            equal += 1
    assert 0 < equal < 450  # padding and unused fields are most of so small a file


def test_another_pickle(tmp_path: Path) -> None:
    """Bytes of the pickle in other places, with the right CRC-32."""
    small(tmp_path)
    entries, random, read = entries_of(tmp_path / "x.pth"), np.random.default_rng(0), 0
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(400):
        code = bytearray(entries["x/data.pkl"])
        for _ in range(random.integers(1, 4)):
            code[random.integers(len(code))] = code[random.integers(len(code))]
        path = write(tmp_path / "y.pth", entries | {"x/data.pkl": bytes(code)})
        read += read_or_refused(path.read_bytes(), tmp_path) is not None
    assert 0 < read < 300
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 100_000  # KB


def field(data: bytes, name: bytes, magic: bytes, at: int, value: bytes) -> bytes:
    """With another field in the header (by its magic number) of this entry."""
    size = {b"PK\1\2": 46, b"PK\3\4": 30}[magic]
    begin = data.index(name, data.index(magic)) - size
    while data[begin : begin + 4] != magic:
        begin = data.index(name, begin + size + 1) - size
    return data[: begin + at] + value + data[begin + at + len(value) :]


LOCAL, DIRECTORY = b"PK\3\4", b"PK\1\2"


@pytest.mark.parametrize(
    ("magic", "at", "value", "reason"),
    [
        (DIRECTORY, 8, b"\1\0", "directory says"),  # encrypted, by the directory alone
        (LOCAL, 6, b"\1\0", "directory says"),
        (DIRECTORY, 10, b"\x08\0", "directory says"),  # deflated
        (DIRECTORY, 16, b"\1\2\3\4", "directory says"),  # CRC-32
        (DIRECTORY, 20, b"\x0f\0\0\0", "directory says"),  # sizes: packed, unpacked
        (DIRECTORY, 24, b"\xff\xff\xff\x7f", "directory says"),
        (LOCAL, 14, bytes(12), "directory says"),  # for the directory to say, without the flag for it
        (LOCAL, 18, b"\x0f\0\0\0", "directory says"),
        (LOCAL, 22, b"\x11\0\0\0", "directory says"),
        (LOCAL, 28, b"\xff\xff", "damaged"),  # length of the extra field
        (LOCAL, 26, b"\x09\0", "directory says"),  # length of the name
        (LOCAL, 30, b"b", "directory says"),  # the name
        (DIRECTORY, 46, b"b", "directory says"),
        (DIRECTORY, 42, b"\xff\xff\xff\xff", "damaged"),  # where it lies
        (DIRECTORY, 42, b"\0\0\0\0", "directory says"),
        (DIRECTORY, 0, b"PK\1\3", "directory says"),
    ],
)
def test_damaged_headers(magic: bytes, at: int, value: bytes, reason: str, tmp_path: Path) -> None:
    path = made(tmp_path, tensor())
    path.write_bytes(field(path.read_bytes(), b"a/data/0", magic, at, value))
    with pytest.raises(CheckpointError, match=reason):
        read_pth(path)


@pytest.mark.parametrize(
    ("at", "value"), [(0, b"\1"), (0, b"\x20"), (1, b"\x20"), (2, b"\x08"), (2, b"\x63")]
)
def test_compressed_or_encrypted_by_both_headers(at: int, value: bytes, tmp_path: Path) -> None:
    path = made(tmp_path, tensor())
    data = field(path.read_bytes(), b"a/data/0", LOCAL, 6 + at, value)
    path.write_bytes(field(data, b"a/data/0", DIRECTORY, 8 + at, value))
    with pytest.raises(CheckpointError, match="its entry b'a/data/0' is compressed or encrypted"):
        read_pth(path)


def test_sizes_that_both_headers_claim(tmp_path: Path) -> None:
    path = made(tmp_path, tensor(of=storage(2**29), size=(2**29,)))
    data, size = path.read_bytes(), (2**31).to_bytes(4, "little")
    for magic, at in ((LOCAL, 18), (LOCAL, 22), (DIRECTORY, 20), (DIRECTORY, 24)):
        data = field(data, b"a/data/0", magic, at, size)
    path.write_bytes(data)
    with pytest.raises(CheckpointError, match="its entry b'a/data/0' is damaged"):
        read_pth(path)


def test_entry_of_two_sizes(tmp_path: Path) -> None:
    path = made(tmp_path, tensor())
    data = field(path.read_bytes(), b"a/data/0", LOCAL, 22, b"\x0f\0\0\0")
    path.write_bytes(field(data, b"a/data/0", DIRECTORY, 24, b"\x0f\0\0\0"))
    with pytest.raises(CheckpointError, match="its entry b'a/data/0' is compressed"):
        read_pth(path)


def test_entry_that_reaches_into_the_directory(tmp_path: Path) -> None:
    entries = {"a/data.pkl": pickled({}), "a/0": bytes(100), "a/data/0": bytes(16)}
    data = write(tmp_path / "x.pth", entries).read_bytes()
    hidden = data.index(b"a/0", data.index(DIRECTORY)) - 46
    data = data[:hidden] + data[hidden + 49 : -22] + data[-22:-14] + 2 * b"\2\0" + data[-10:]
    sums = zlib.crc32(bytes(16) + DIRECTORY).to_bytes(4, "little") + 2 * b"\x14\0\0\0"
    data = field(field(data, b"a/data/0", LOCAL, 14, sums), b"a/data/0", DIRECTORY, 16, sums)
    (tmp_path / "x.pth").write_bytes(data)
    with pytest.raises(CheckpointError, match="its entry b'a/data/0' is damaged"):
        read_pth(tmp_path / "x.pth")


def test_compressed_file(tmp_path: Path) -> None:
    path = saved({"x": torch.zeros(1000)}, tmp_path)
    write(path, entries_of(path), zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        read_pth(path)


def test_entry_that_is_there_twice(tmp_path: Path) -> None:
    path = made(tmp_path, tensor())
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(path, "a") as archive:
        archive.writestr("a/data/0", bytes(16))
    with pytest.raises(CheckpointError, match="its entry b'a/data/0' .* is there twice"):
        read_pth(path)


def test_entries_that_overlap(tmp_path: Path) -> None:
    """Many names for the same bytes: a small file would be a large one."""
    inner = write(tmp_path / "inner.zip", {"a/data/1": bytes(1000)}).read_bytes()
    path = write(tmp_path / "x.pth", {"a/data.pkl": pickled({}), "a/data/0": inner})
    assert read_pth(path) == {}
    data = path.read_bytes()
    entry = inner[inner.index(DIRECTORY) :][:42] + data.index(inner).to_bytes(4, "little") + b"a/data/1"
    size = len(data) - 22 - int.from_bytes(data[-6:-2], "little") + len(entry)
    end = data[-22:-14] + 2 * (3).to_bytes(2, "little") + size.to_bytes(4, "little") + data[-6:]
    path.write_bytes(data[:-22] + entry + end)
    with zipfile.ZipFile(path) as archive:
        assert archive.read("a/data/1") == bytes(1000)
    with pytest.raises(CheckpointError, match="its entry b'a/data/1' is damaged"):
        read_pth(path)


def test_no_pickle(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="data.pkl"):
        read_pth(write(tmp_path / "x.pth", {"a/data/0": b""}))
    with pytest.raises(CheckpointError, match="is damaged, .* EOFError"):
        read_pth(write(tmp_path / "x.pth", {"a/data.pkl": b""}))
    with pytest.raises(CheckpointError, match="damaged"):
        read_pth(write(tmp_path / "x.pth", {}))
