import subprocess
import sys
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from model import ROOT, SHIPPED
from model.architecture import Architecture
from model.metadata import CheckpointError
from model.network import build_network
from model.pth_file import read_pth
from tests.model.pth_file.files import (
    assert_reads_as_torch_does,
    assert_same,
    entries_of,
    numbers,
    pickled,
    saved,
    storage,
    tensor,
    write,
)

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
