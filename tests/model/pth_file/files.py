"""Checkpoints as torch writes them, and made by hand."""

import io
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from model.metadata import CheckpointError
from model.pth_file import read_pth


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


def refused(code: object, path: Path, reason: str) -> None:
    made(path, code)
    with pytest.raises(CheckpointError, match=f"^{path}/x.pth is not a checkpoint that .*{reason}"):
        read_pth(path / "x.pth")


FLOAT, CALL = torch.FloatStorage, torch._utils._rebuild_tensor_v2
HUGE = 10**12
