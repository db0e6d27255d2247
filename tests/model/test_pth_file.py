import io
import os
import pickle
import resource
import subprocess
import sys
import tracemalloc
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.serialization import set_crc32_options

from model import ROOT, SHIPPED, pth_file
from model.architecture import Architecture
from model.metadata import CheckpointError
from model.network import build_network
from model.pth_file import read_pth

NAMES = "float64 float32 float16 bfloat16 int64 int32 int16 int8 uint8 bool"
DTYPES = [getattr(torch, name) for name in NAMES.split()]
LAYOUTS: dict[str, Callable[[Tensor], Tensor]] = {
    "dense": lambda x: x,
    "transposed": lambda x: x.transpose(0, 2),
    "sliced": lambda x: x[1:, 2:, 1],
    "every second": lambda x: x[::2, :, ::2],
    "strided": lambda x: x.as_strided((3, 2, 2), (1, 7, 3), 5),
    "overlapping": lambda x: x.as_strided((5, 4), (1, 1), 2),
    "expanded": lambda x: x[:, :1].expand(-1, 6, -1),
    "expanded scalar": lambda x: x[0, 0, 0].expand(3, 2),
    "scalar": lambda x: x[1, 2, 3],
    "copied scalar": lambda x: x[1, 2, 3].clone(),
    "one element": lambda x: x[1:, 3:, 3:],
    "empty": lambda x: x[:0],
    "empty at the end": lambda x: x[2:, 3:, 3:],
    "empty storage": lambda x: x.new_empty((0, 3)),
    "channels last": lambda x: x[None].contiguous(memory_format=torch.channels_last),
}


class Called:
    """Is pickled as a call of this function."""

    def __init__(self, function: Callable, *arguments: object, state: object = None) -> None:
        self.reduced = (function, arguments) if state is None else (function, arguments, state)


class Stored:
    """Is pickled as a storage with this identity."""

    def __init__(self, identity: object) -> None:
        self.identity = identity


class Pickler(pickle.Pickler):
    def persistent_id(self, value: Any) -> Any:
        return value.identity if isinstance(value, Stored) else None

    def reducer_override(self, value: Any) -> Any:
        return value.reduced if isinstance(value, Called) else NotImplemented


def pickled(value: object, protocol: int = 2) -> bytes:
    file = io.BytesIO()
    Pickler(file, protocol).dump(value)
    return file.getvalue()


def storage(count: object = 4, kind: object = torch.FloatStorage, key: object = "0") -> Stored:
    return Stored(("storage", kind, key, "cpu", count))


def tensor(offset: object = 0, size: object = (4,), stride: object = (1,), of: object = None) -> Called:
    """A tensor of float32, of a storage of four elements."""
    arguments = (of or storage(), offset, size, stride, False, OrderedDict())
    return Called(torch._utils._rebuild_tensor_v2, *arguments)


def entries_of(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def write(path: Path, entries: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return path


def made(path: Path, content: object) -> Path:
    """A file whose pickle has this content (a dictionary's value `x`), or is these bytes."""
    code = content if isinstance(content, bytes) else pickled({"x": content})
    data = np.arange(4, dtype="<f4").tobytes()
    return write(path / "x.pth", {"a/data.pkl": code, "a/byteorder": b"little", "a/data/0": data})


def numbers(dtype: torch.dtype) -> Tensor:
    """24 elements of shape (2, 3, 4), extreme values among them."""
    if dtype == torch.bool:
        return torch.arange(24).reshape(2, 3, 4) % 3 == 0
    if dtype.is_floating_point:
        values = torch.linspace(-2, 2, 24, dtype=torch.float64).to(dtype)
        values[:5] = torch.tensor([np.nan, np.inf, -np.inf, -0.0, torch.finfo(dtype).max], dtype=dtype)
        values[5] = torch.finfo(dtype).smallest_normal / 2
    else:
        values = torch.arange(24).to(dtype)
        values[:2] = torch.tensor([torch.iinfo(dtype).min, torch.iinfo(dtype).max], dtype=dtype)
    return values.reshape(2, 3, 4)


def assert_same(ours: Any, theirs: Any) -> None:
    """That a value is what torch.load makes of it: types, and the bits of arrays."""
    if isinstance(theirs, Tensor):
        expected = theirs.detach()
        expected = (expected.float() if expected.dtype == torch.bfloat16 else expected).numpy()
        assert type(ours) is np.ndarray
        assert (ours.dtype, ours.shape) == (expected.dtype, expected.shape)
        assert ours.dtype.isnative
        assert ours.tobytes() == expected.tobytes()
        assert ours.flags.aligned
        assert not ours.size or not ours.flags.writeable
        if ours.size:
            steps = zip(ours.shape, ours.strides, theirs.stride(), strict=True)
            assert all(step == stride * ours.itemsize for n, step, stride in steps if n > 1)
    elif isinstance(theirs, dict):
        assert type(ours) is dict
        assert list(ours) == list(theirs)
        for name in ours:
            assert_same(ours[name], theirs[name])
    elif isinstance(theirs, list | tuple):
        assert type(ours) is type(theirs)
        assert len(ours) == len(theirs)
        for one, other in zip(ours, theirs, strict=True):
            assert_same(one, other)
    else:
        assert type(ours) is type(theirs)
        assert ours == theirs or ours != ours


def assert_reads_as_torch_does(path: Path) -> dict[str, Any]:
    ours = read_pth(path)
    assert_same(ours, torch.load(path, weights_only=True))
    return ours


def saved(content: object, path: Path) -> Path:
    torch.save(content, path / "x.pth")
    return path / "x.pth"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_dtypes_and_layouts(dtype: torch.dtype, tmp_path: Path) -> None:
    content = {name: layout(numbers(dtype)) for name, layout in LAYOUTS.items()}
    assert_reads_as_torch_does(saved(content, tmp_path))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_other_byte_order(dtype: torch.dtype, tmp_path: Path) -> None:
    path = saved({name: layout(numbers(dtype)) for name, layout in LAYOUTS.items()}, tmp_path)
    little, entries = read_pth(path), entries_of(path)
    for name, data in entries.items():
        if "/data/" in name:
            entries[name] = np.frombuffer(data, f"u{dtype.itemsize}").byteswap().tobytes()
    entries["x/byteorder"] = b"big"
    big = assert_reads_as_torch_does(write(path, entries))
    assert {name: array.tobytes() for name, array in big.items()} == {
        name: array.tobytes() for name, array in little.items()
    }


def test_without_a_byte_order_it_is_little(tmp_path: Path) -> None:
    path = saved({"x": numbers(torch.int32)}, tmp_path)
    entries = entries_of(path)
    del entries["x/byteorder"]
    assert_reads_as_torch_does(write(path, entries))


def test_unknown_byte_order(tmp_path: Path) -> None:
    path = saved({"x": numbers(torch.int32)}, tmp_path)
    with pytest.raises(CheckpointError, match="x.pth .* is damaged.*KeyError.*middle"):
        read_pth(write(path, entries_of(path) | {"x/byteorder": b"middle"}))


def test_tensors_of_one_storage_share_memory(tmp_path: Path) -> None:
    x = numbers(torch.float32)
    content = assert_reads_as_torch_does(saved({"x": x, "y": x[1].T, "z": x, "copy": x.clone()}, tmp_path))
    assert content["x"] is content["z"]
    assert np.shares_memory(content["x"], content["y"])
    assert not np.shares_memory(content["x"], content["copy"])


def test_plain_values(tmp_path: Path) -> None:
    values = [None, True, False, 0, -1, 255, 256, 65536, 2**31, -(2**63), 2**200, 0.1, np.nan, -np.inf]
    values += ["", "ä🙂"]
    shared = {"a": (), "b": ((1,), [2, {"c": {}}]), 3: [], -4: OrderedDict(x=1), "long": "x" * 1000}
    content = {
        "values": values,
        "tuple": tuple(values),
        "shared": [shared, shared],
        "many": list(range(3000)),
    }
    assert_reads_as_torch_does(saved(content, tmp_path))
    assert_reads_as_torch_does(saved({}, tmp_path))


def test_parameters(tmp_path: Path) -> None:
    parameter = nn.Parameter(numbers(torch.float32))
    content = {"a": parameter, "b": nn.Parameter(torch.ones(2), requires_grad=False), "tied": parameter}
    content["leaf"] = torch.ones(3, requires_grad=True)
    assert_reads_as_torch_does(saved(content, tmp_path))


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_bare_state_dict(head: Any, tmp_path: Path) -> None:
    state = build_network(Architecture("imagenet", head)).half().state_dict(keep_vars=head == "mlp")
    assert state._metadata  # type: ignore[attr-defined]
    content = assert_reads_as_torch_does(saved(state, tmp_path))
    assert list(content) == list(state)


def test_shipped_checkpoint() -> None:
    content = assert_reads_as_torch_does(SHIPPED)
    assert content["format"].startswith("cifake-checkpoint/")
    assert content["weights"]["conv1.weight"].shape == (64, 3, 3, 3)


def test_needs_no_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from model import SHIPPED\nfrom model.pth_file import read_pth\n"
        "assert read_pth(SHIPPED)['weights']\n"
        "print(sum(name.startswith('torch') for name in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.stdout, done.stderr) == ("1\n", "")


@st.composite
def views(draw: st.DrawFn) -> tuple[int, tuple[int, ...], tuple[int, ...]]:
    dimensions = draw(st.integers(0, 4))
    size = draw(st.lists(st.integers(-1, 4), min_size=dimensions, max_size=dimensions))
    stride = draw(st.lists(st.integers(-1, 9), min_size=dimensions, max_size=dimensions))
    return draw(st.integers(-1, 30)), tuple(size), tuple(stride)


@settings(derandomize=True, deadline=None, max_examples=250)
@given(view=views(), data=st.data())
def test_any_view_is_what_torch_says_or_refused(
    view: tuple[int, tuple[int, ...], tuple[int, ...]], data: st.DataObject, tmp_path_factory: Any
) -> None:
    offset, size, stride = view
    path = Path(tmp_path_factory.getbasetemp()) / "views.pth"
    values = torch.arange(data.draw(st.integers(0, 40)), dtype=torch.int16)
    content = {"x": tensor(offset, size, stride, storage(len(values), torch.ShortStorage))}
    write(path, {"a/data.pkl": pickled(content), "a/data/0": values.numpy().tobytes()})
    try:
        expected = values.as_strided(size, stride, offset)
    except RuntimeError:
        expected = None
    if expected is None or min((offset, *size, *stride)) < 0:  # torch lets some of an empty tensor pass
        with pytest.raises(CheckpointError, match="views.pth is not a checkpoint that can be read: a tensor"):
            read_pth(path)
    else:
        assert_same(read_pth(path), {"x": expected})
        torch.save({"x": expected}, path)
        assert_reads_as_torch_does(path)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "nowhere.pth", tmp_path):
        with pytest.raises(CheckpointError, match=f"^there is no file {path}$"):
            read_pth(path)


def test_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved({}, tmp_path)

    def fails(_: Path) -> bytes:
        raise OSError("disk is broken")

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(CheckpointError, match="x.pth is not .*: disk is broken"):
        read_pth(path)


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


# The zip.


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


# The pickle.


def refused(code: object, path: Path, reason: str) -> None:
    made(path, code)
    with pytest.raises(CheckpointError, match=f"^{path}/x.pth is not a checkpoint that .*{reason}"):
        read_pth(path / "x.pth")


GLOBALS = [
    (Called(os.system, "exit 1"), "posix.system"), (Called(eval, "1 + 1"), "__builtin__.eval"),
    (Called(getattr, "x", "upper"), "__builtin__.getattr"),
    (Called(exec, "import os"), "__builtin__.exec"), (dict, "__builtin__.dict"),
    ({1, 2}, "__builtin__.set"), ([b"bytes"], "_codecs.encode"), (1j, "__builtin__.complex"),
    (range(3), "__builtin__.xrange"), (Path("x"), "pathlib.PosixPath"), (np.float32(1), "numpy.*.scalar"),
    (np.ones(3), "numpy.*._reconstruct"), (np.dtype("f4"), "numpy.dtype"),
    (read_pth, "model.pth_file.read_pth"), (pth_file._Storage, "model.pth_file._Storage"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "name"), GLOBALS)
def test_other_globals(content: object, name: str, tmp_path: Path) -> None:
    refused(content, tmp_path, f"it names '{name}', which is not read")


TORCH_TYPES = [
    (nn.Linear(2, 2), "torch.nn.modules.linear.Linear"), (torch.float32, "torch.float32"),
    (torch.Size([1]), "torch.Size"), (torch.device("cpu"), "torch.device"),
    (torch.ones(3, dtype=torch.complex64), "torch.ComplexFloatStorage"),
    (torch.ones(3, dtype=torch.uint16), "torch._utils._rebuild_tensor_v3"),
    (torch.ones(3).to_sparse(), "torch._utils._rebuild_sparse_tensor"),
    (torch.ones(3, device="meta"), "torch._utils._rebuild_meta_tensor_no_storage"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "name"), TORCH_TYPES)
def test_other_types_of_torch(content: object, name: str, tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=f"it names '{name}', which is not read"):
        read_pth(saved({"x": content}, tmp_path))


@pytest.mark.parametrize("protocol", [0, 1, 4, 5])
def test_other_protocols(protocol: int, tmp_path: Path) -> None:
    torch.save({"x": torch.ones(3), "y": 70000}, tmp_path / "x.pth", pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match="is damaged, or was saved with options .* KeyError"):
        read_pth(tmp_path / "x.pth")


OPCODES = [
    b"(ios\nsystem\n", b"(ccollections\nOrderedDict\no", b"ccollections\nOrderedDict\n)\x81",
    b"ccollections\nOrderedDict\n)}\x92", b"\x8c\x02os\x8c\x06system\x93", b"\x82\x01", b"\x97",
    b"\x96" + b"\xff" * 7 + b"\x7f", b"\x8e" + b"\xff" * 7 + b"\x7f", b"\x8b\xff\xff\xff\x7f", b"\x8f",
    b"Pname\n", b"I123\n", b"Vtext\n", b"U\x01x", b"l", b"d", b"0", b"1", b"2", b"\x94",
]  # fmt: skip


@pytest.mark.parametrize("opcodes", OPCODES)
def test_other_opcodes(opcodes: bytes, tmp_path: Path) -> None:
    refused(
        b"\x80\x02}X\x01\0\0\0x" + opcodes + b"s.",
        tmp_path,
        "is damaged, or was saved with options .* KeyError",
    )


DAMAGED_PICKLES = [
    b"", b".", b"}", b"\x80", b"\x80\xff.", b"}s.", b"}u.", b"}(Ku.", b"}(K\1u.", b"}K\1a.", b"}(K\1e.",
    b"K\1K\2K\3s.", b")K\2K\3s.", b"h\0.", b"}q", b"q\0.", b"j\1\0.", b"t.", b"\x87.", b"R.", b"}R.",
    b"b.", b"}b.", b"Q.", b"ctorch", b"c\n\n.", b"ctorch\n\xff\n.", b"J\1.", b"G\1.",
    b"X\xff\xff\xff\xffx.", b"X\1\0\0\0\xff.", b"\x8a\xff\1.",
]  # fmt: skip


@pytest.mark.parametrize("code", DAMAGED_PICKLES)
def test_damaged_pickle(code: bytes, tmp_path: Path) -> None:
    refused(code, tmp_path, "can be read")


def test_memo_is_no_larger_than_what_is_in_it(tmp_path: Path) -> None:
    made(tmp_path, b"\x80\x02}r\xff\xff\xff\xff.")
    tracemalloc.start()
    try:
        assert read_pth(tmp_path / "x.pth") == {}
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("value", [[], (), None, 1, "text", tensor(), {1: "x"}, OrderedDict([(1, 2)])])
def test_no_dictionary_by_name(value: object, tmp_path: Path) -> None:
    refused(pickled(value), tmp_path, "it does not hold a dictionary by name")


FLOAT, CALL = torch.FloatStorage, torch._utils._rebuild_tensor_v2


STORAGES = [
    (), "storage", 7, {}, ("storage",), ("module", FLOAT, "0", "cpu", 4),
    ("storage", FLOAT, "0", "cpu", 4, None), ("storage", FLOAT, "0", "cpu", -4),
    ("storage", FLOAT, "0", "cpu", 3), ("storage", FLOAT, "0", "cpu", 5),
    ("storage", FLOAT, "0", "cpu", 10**12), ("storage", FLOAT, "0", "cpu", 4.0),
    ("storage", FLOAT, "0", "cpu", "4"), ("storage", FLOAT, "0", None, 4),
    ("storage", FLOAT, 0, "cpu", 4), ("storage", FLOAT, ("0",), "cpu", 4),
    ("storage", "torch.FloatStorage", "0", "cpu", 4), ("storage", OrderedDict, "0", "cpu", 4),
    ("storage", CALL, "0", "cpu", 4), ("storage", FLOAT, "1", "cpu", 4),
    ("storage", FLOAT, "../data.pkl", "cpu", 4), ("storage", torch.DoubleStorage, "0", "cpu", 4),
    (tensor(size=(10**12,), stride=(0,)), FLOAT, "0", "cpu", 4),
]  # fmt: skip


@pytest.mark.parametrize("identity", STORAGES)
def test_other_storages(identity: Any, tmp_path: Path) -> None:
    refused(tensor(of=Stored(identity)), tmp_path, "(storage|KeyError)")


def test_one_storage_with_two_types(tmp_path: Path) -> None:
    others = storage(2, torch.DoubleStorage)
    refused([tensor(), tensor(size=(2,), of=others)], tmp_path, "a storage has another type or size")
    refused(
        [tensor(), tensor(of=storage(4, torch.IntStorage))], tmp_path, "a storage has another type or size"
    )


def test_long_names_are_not_told_in_full(tmp_path: Path) -> None:
    for content in (tensor(of=storage(key="x" * 100_000)), b"c" + b"x" * 100_000 + b"\ny\n."):
        made(tmp_path, content)
        with pytest.raises(CheckpointError, match="xxxx") as caught:
            read_pth(tmp_path / "x.pth")
        assert len(str(caught.value)) < 400 + len(str(tmp_path))


def test_storage_with_a_part_of_an_element(tmp_path: Path) -> None:
    write(tmp_path / "x.pth", {"a/data.pkl": pickled({"x": tensor()}), "a/data/0": bytes(17)})
    with pytest.raises(CheckpointError, match="multiple of element size"):
        read_pth(tmp_path / "x.pth")


def test_truth_values_are_0_or_1(tmp_path: Path) -> None:
    content = {"x": tensor(of=storage(4, torch.BoolStorage))}
    path = write(tmp_path / "x.pth", {"a/data.pkl": pickled(content), "a/data/0": b"\0\1\2\xff"})
    assert read_pth(path)["x"].tobytes() == b"\0\1\1\1"


HUGE = 10**12


VIEWS = [
    (0, (5,), (1,)), (1, (4,), (1,)), (4, (), ()), (-1, (1,), (1,)), (0, (2,), (4,)), (0, (2,), (-1,)),
    (3, (2,), (-1,)), (0, (-1,), (1,)), (0, (-1, -4), (1, 1)), (0, (2, 2), (2, 2)), (0, (2,), (HUGE,)),
    (0, (2,), (2**62,)), (0, (2,), (2**64,)), (0, (2, 2), (2**63, 2**63)), (2**64, (1,), (1,)),
    (HUGE, (1,), (1,)), (0, (HUGE,), (1,)), (0, (HUGE,), (0,)), (0, (2_000_000,), (0,)),
    (0, (2**31, 2**31), (0, 0)), (0, (2**62, 2**62), (0, 0)), (0, (2**64,), (0,)),
    (0, (0, 2**64), (1, 1)), (0, (2**2000,), (0,)), (0, (1,) * 9, (1,) * 9),
    (0, (1,) * 100_000, (1,) * 100_000), (0, (1,), (1, 1)), (0, (1, 1), (1,)), (0, (1.0,), (1,)),
    (0, (True,), (1,)), (0, (1,), (None,)), (0, ("1",), (1,)), (0.0, (1,), (1,)), (None, (1,), (1,)),
    (0, [1], (1,)), (0, (1,), [1]), (0, 1, 1), (0, "1", "1"),
    (0, tensor(size=(HUGE,), stride=(0,)), (1,)),
]  # fmt: skip


@pytest.mark.parametrize(("offset", "size", "stride"), VIEWS)
def test_tensors_that_lead_outside(offset: object, size: object, stride: object, tmp_path: Path) -> None:
    refused(tensor(offset, size, stride), tmp_path, "can be read")


@pytest.mark.parametrize("stride", [HUGE, 2**62, 2**64, 2**2000])
def test_stride_of_a_single_element_says_nothing(stride: int, tmp_path: Path) -> None:
    made(tmp_path, tensor(3, (1, 1), (stride, stride)))
    np.testing.assert_equal(read_pth(tmp_path / "x.pth"), {"x": np.array([[3]], np.float32)})


CALLS = [
    Called(CALL), Called(CALL, storage(), 0, (4,), (1,), False),
    Called(CALL, storage(), 0, (4,), (1,), False, {}, {"neg": True}),
    Called(CALL, tensor(), 0, (4,), (1,), False, {}), Called(CALL, FLOAT, 0, (4,), (1,), False, {}),
    Called(CALL, None, 0, (4,), (1,), False, {}), Called(OrderedDict, [("a", 1)]),
    Called(OrderedDict, 10**9), Called(torch._utils._rebuild_parameter),
    Called(torch._utils._rebuild_parameter, storage(), True, {}),
    Called(torch._utils._rebuild_parameter, [1], True, {}),
    Called(torch._utils._rebuild_parameter, tensor(), True), Called(FLOAT, 10**9), Called(FLOAT),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_calls_with_other_arguments(call: Called, tmp_path: Path) -> None:
    refused(call, tmp_path, "it calls a function with other arguments than torch.save does")


@pytest.mark.parametrize("of", [b"}", b"]", b"K\1", b"X\1\0\0\0x", b"N", b"ctorch\nFloatStorage\n", b"h\7"])
@pytest.mark.parametrize("arguments", [b"}", b"]", b"K\1", b"X\1\0\0\0x", b"N", b"h\7"])
def test_calls_of_what_is_no_function(of: bytes, arguments: bytes, tmp_path: Path) -> None:
    """The memo's 7 is an array of a trillion elements."""
    array = pickled(tensor(0, (HUGE,), (0,)))[:-1] + b"q\7"
    refused(array + of + arguments + b"R.", tmp_path, "it calls a function")


STATES = [
    {"__class__": 1}, {"_metadata": {}, "keys": 1}, {"_metadata": None},
    {"_metadata": tensor(size=(HUGE,), stride=(0,))}, {}, (None, {"_metadata": {}}), [], 1,
]  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_other_attributes(state: object, tmp_path: Path) -> None:
    refused(Called(OrderedDict, state=state), tmp_path, "it sets other attributes")


NO_ORDERED_DICTS = [
    b"ctorch._utils\n_rebuild_tensor_v2\n", b"ccollections\nOrderedDict\n", b"ctorch\nFloatStorage\n",
    b"]", pickled(tensor())[:-1], pickled(storage())[:-1],
]  # fmt: skip


@pytest.mark.parametrize("of", NO_ORDERED_DICTS)
def test_attributes_of_other_things(of: bytes, tmp_path: Path) -> None:
    refused(b"\x80\x02" + of + pickled({"_metadata": {}})[:-1] + b"b.", tmp_path, "it sets other attributes")


VALUES = [
    FLOAT, CALL, OrderedDict, storage(), [storage()], {"y": (CALL,)},
    Called(OrderedDict, state={"_metadata": {"x": 1}}),
]  # fmt: skip


@pytest.mark.parametrize("value", VALUES)
def test_what_is_no_value(value: object, tmp_path: Path) -> None:
    if isinstance(value, Called):
        made(tmp_path, value)
        assert read_pth(tmp_path / "x.pth") == {"x": {}}
    else:
        refused(value, tmp_path, "it has a type or a storage where a value is due")


@pytest.mark.parametrize("key", [None, 1.5, (), (1,), ((1,), 2), 2**31, -(2**70), tensor(), storage(), FLOAT])
def test_other_keys(key: object, tmp_path: Path) -> None:
    code = b"\x80\x02}" + pickled(key)[2:-1] + b"K\1s."
    refused(code, tmp_path, "a key that is neither text nor a small number")
    refused(code.replace(b"}", b"}(", 1).replace(b"s.", b"u."), tmp_path, "a key that is neither text nor a")


def test_text_that_cannot_be_encoded(tmp_path: Path) -> None:
    refused("\ud800", tmp_path, "surrogates not allowed")
    refused({"\ud800": 1}, tmp_path, "surrogates not allowed")


def boundless() -> Iterator[tuple[str, str, bytes]]:
    """Pickles whose content is without end, far larger than they are, or too deep to go through."""
    many, start, end = 100_000, b"\x80\x02}X\1\0\0\0x", b"s."
    text, number = b"X\xa0\x86\1\0" + b"x" * 100_000 + b"q\0", b"\x8a\xff" + b"\x7f" * 255 + b"q\0"
    array = pickled(tensor(size=(250_000,), stride=(0,)))[2:-1] + b"q\0"
    yield "deep lists", TOO_LARGE, start + b"]" * many + b"a" * (many - 1) + end
    yield "deep tuples", TOO_LARGE, start + b")" + b"\x85" * many + end
    yield "deep dictionaries", TOO_LARGE, b"\x80\x02" + start[2:] * 30_000 + b"N" + b"s" * 30_000 + b"."
    yield "65 lists", TOO_LARGE, start + b"]" * 65 + b"a" * 64 + end
    yield "a list in itself", TOO_LARGE, start + b"]q\0h\0a" + end
    yield "lists of lists", TOO_LARGE, start + b"](]q\0" + (b"](" + b"h\0" * 9 + b"eq\0") * 40 + b"e" + end
    yield "tuples of tuples", TOO_LARGE, start + b")" + b"q\0h\0\x86" * 40 + end
    yield "a text many times", TOO_LARGE, start + b"](" + text + b"h\0" * many + b"e" + end
    yield "a number many times", TOO_LARGE, start + b"](" + number + b"h\0" * many + b"e" + end
    yield "an array many times", TOO_LARGE, start + b"](" + array + b"h\0" * 100 + b"e" + end
    yield "a deep tuple as a key", "has a key", b"\x80\x02})" + b"\x85" * 300_000 + b"K\1s."
    yield "many marks", "damaged", b"\x80\x02" + b"(" * many + b"."
    yield "many dictionaries", "dictionary by name", b"\x80\x02(" + b"}" * many + b"t."
    yield "many memos", "dictionary by name", b"\x80\x02]" + b"r\xff\xff\xff\xff" * 100_000 + b"."
    view = pickled(tensor(size=(1,) * 8, stride=(1,) * 8))[2:]
    function, call = view.index(b"("), view.rindex(b"R")
    head = view[:function] + b"q\xfe" + view[function:call] + b"q\xff"
    yield "many views", "dictionary by name", b"\x80\x02" + head + b"R(" + b"h\xfeh\xffR" * 50_000 + b"t."


TOO_LARGE = "it is nested too deep, or far larger"


@pytest.mark.parametrize(
    ("reason", "code"), [pytest.param(reason, code, id=name) for name, reason, code in boundless()]
)
def test_boundless_content(reason: str, code: bytes, tmp_path: Path) -> None:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refused(code, tmp_path, reason)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - most < 150_000  # KB


def test_as_deep_and_large_as_it_may_be(tmp_path: Path) -> None:
    value: Any = 1
    for _ in range(pth_file.DEPTH - 1):
        value = [value]
    content = {"deep": value, "x" * 500_000: "x" * 500_000, "view": torch.ones(1).expand(1_000_000)}
    assert_reads_as_torch_does(saved(content, tmp_path))
