"""A reader, in NumPy, of files written by `torch.save`: a zip archive of raw storages and one pickle.

An allow-list of globals alone does not make an unpickler safe: in CPython 3.11's C implementation a memo
index of a few bytes allocates gigabytes, and hashing a deeply nested tuple overflows the stack. So this
extends the standard library's Python implementation with an allow-list of opcodes, and calls no function that
a pickle names.

Sources: PyTorch 2.14 (torch/serialization.py, torch/_weights_only_unpickler.py), Python's pickletools.py
(protocol 2 of pickle), PKWARE's APPNOTE 6.3.10 (section 4.3 of the zip format).
"""

import hashlib
import io
import pickle
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from model.metadata import CheckpointError

FILE_BYTES = 1 << 30  # of a file; a ResNet18 in float32 has 45 MB
PICKLE_BYTES = 1 << 20  # of the pickle, and of its values without sharing; the shipped one has 20 KB
DEPTH, DIMENSIONS = 64, 8  # of nested containers; of an array
EXPANSION = 4  # maximum bytes of all arrays without sharing, by the file's bytes (or PICKLE_BYTES)

_END, _DIRECTORY, _LOCAL = (struct.Struct(x) for x in ("<4s6xH4xI2x", "<4s4x2H4x3I3H8xI", "<4s2x2H4x3I2H"))
_LEGACY = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."  # a pickle of torch.serialization.MAGIC_NUMBER
_KINDS = "Double:f8 Float:f4 Half:f2 BFloat16:u2 Long:i8 Int:i4 Short:i2 Char:i1 Byte:u1 Bool:u1"
_DTYPES = {f"torch.{kind}Storage": dtype for kind, dtype in (kind.split(":") for kind in _KINDS.split())}
_CALLED = ("collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch._utils._rebuild_parameter")
_OPCODES = b"\x80\x85\x86\x87\x88\x89\x8aGJKMNQX]aceh()jqrt}."  # of `torch.save`, without b"Rbsu"


def read_pth(path: Path) -> dict[str, Any]:
    """Read a dictionary of plain values and arrays from a file of `torch.save` in the zip format.

    Tensors and parameters become read-only arrays of the same shape, strides and dtype in native byte order;
    bfloat16 becomes float32. Tensors with the same storage share memory. An OrderedDict becomes a dict.
    Devices, requires_grad, hooks and `_metadata` are dropped.

    Raises CheckpointError if the file is missing, damaged or above the limits of this module, or if it has
    types other than dict (with str or int keys), list, tuple, str, int, float, bool, None and dense tensors.
    """
    return read_pth_and_digest(path)[0]


def read_pth_and_digest(path: Path) -> tuple[dict[str, Any], str]:
    """The dictionary of `read_pth`, and the SHA-256, in hexadecimal, of the bytes that it was read from."""
    path = Path(path)
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        if path.stat().st_size > FILE_BYTES:
            raise ValueError(f"it has more than {FILE_BYTES} bytes")
        data = path.read_bytes()
        return _read(data), hashlib.sha256(data).hexdigest()
    except Exception as error:  # the unpickler raises many types on damaged files
        damaged = f"it is damaged, or was saved with options that are not known here: {error!r:.200}"
        reason = error if isinstance(error, ValueError | OSError) else damaged
        raise CheckpointError(f"{path} is not a checkpoint that can be read: {reason}") from error


def _read(data: bytes) -> dict[str, Any]:
    if data.startswith(_LEGACY):
        raise ValueError("it has the format of PyTorch before 1.6; save it anew with a current PyTorch")
    entries = _unzip(data)
    folder = next(iter(entries), b"").partition(b"/")[0] + b"/"
    code = entries[folder + b"data.pkl"]
    if len(code) > PICKLE_BYTES:
        raise ValueError(f"its data.pkl has more than {PICKLE_BYTES} bytes")
    order = {b"little": "<", b"big": ">"}[bytes(entries.get(folder + b"byteorder", b"little"))]
    content = _Unpickler(code, lambda key: entries[folder + b"data/" + key.encode()], order).load()
    if not isinstance(content, dict) or not all(isinstance(name, str) for name in content):
        raise ValueError("it does not hold a dictionary by name")
    _check_expansion(content, EXPANSION * max(len(data), PICKLE_BYTES))
    return content


def _unzip(data: bytes) -> dict[bytes, memoryview]:
    """The entries of a zip archive by name, in the directory's order. They must be uncompressed.

    ZIP64 records are ignored: a file of up to FILE_BYTES does not need them.
    """
    if not data.startswith(b"PK\5\6", max(0, len(data) - _END.size)):
        raise ValueError("it is not a zip, or its end is missing")
    _, count, start = _END.unpack_from(data, len(data) - _END.size)
    entries: dict[bytes, memoryview] = {}
    at = left = start  # offset of the next directory entry; bytes that remain for entries that do not overlap
    for _ in range(count):
        magic, flags, method, *sums, named, extra, comment, header = _DIRECTORY.unpack_from(data, at)
        at += _DIRECTORY.size + named
        name = data[at - named : at]
        at += extra + comment
        *local, extra = _LOCAL.unpack_from(data, header)
        if flags & 8 and local[3:6] == [0, 0, 0]:
            local[3:6] = sums  # a streamed entry: CRC-32 and sizes are in the directory only
        begin = header + _LOCAL.size + named + extra
        end = begin + sums[1]
        left -= end - header
        same = [magic, *local] == [b"PK\1\2", b"PK\3\4", flags, method, *sums, named]
        if not same or data[header + _LOCAL.size : begin - extra] != name or name in entries:
            raise ValueError(f"its entry {name[:80]!r} is not as its directory says, or is there twice")
        if method or flags & ~0x0808 or sums[1] != sums[2]:  # 0x0808: data descriptor, UTF-8 names
            raise ValueError(f"its entry {name[:80]!r} is compressed or encrypted")
        entries[name] = memoryview(data)[begin:end]
        if left < 0 or end > start or zlib.crc32(entries[name]) != sums[0]:
            raise ValueError(f"its entry {name[:80]!r} is damaged, or was saved without its CRC-32")
    return entries


@dataclass(frozen=True)
class _Global:
    """A global that the pickle names; it is not imported."""

    name: str


@dataclass(frozen=True)
class _Storage:
    """values: of shape (N,), read-only and in native byte order."""

    kind: str
    values: np.ndarray

    def view(self, offset: int, size: tuple, stride: tuple) -> np.ndarray:
        """A view; offset and stride are in elements. Raises ValueError if it exceeds the storage."""
        if len(size) > DIMENSIONS or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
            raise ValueError(f"a tensor has a negative size or stride, or more than {DIMENSIONS} dimensions")
        steps = [step if n > 1 else 0 for n, step in zip(size, stride, strict=True)]
        if 0 in size:
            return np.zeros(size, self.values.dtype)
        if offset + sum((n - 1) * step for n, step in zip(size, steps, strict=True)) >= len(self.values):
            raise ValueError("a tensor reaches outside its storage")
        width = self.values.itemsize
        strides = [width * step for step in steps]
        return np.ndarray(size, self.values.dtype, self.values, width * offset, strides)


class _Unpickler(pickle._Unpickler):
    """entry: returns the bytes of a storage by its key. order: their byte order, `<` or `>`."""

    stack: list[Any]
    pop_mark: Callable[[], list[Any]]

    def __init__(self, code: memoryview, entry: Callable[[str], memoryview], order: str) -> None:
        super().__init__(io.BytesIO(code))
        self._entry, self._order = entry, order
        self._storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> _Global:
        name = f"{module}.{name}"
        if name not in _DTYPES and name not in _CALLED:
            raise ValueError(f"it names {name[:80]!r}, which is not read")
        return _Global(name)

    def persistent_load(self, pid: Any) -> _Storage:
        match pid:  # the tag is compared in a guard, because it may be an array
            case (str(tag), _Global(kind), str(key), str(), int(count)) if tag == "storage":
                storage = self._storages.get(key) or self._storage(kind, self._entry(key))
                self._storages[key] = storage
                if storage.kind == kind and len(storage.values) == count:
                    return storage
        raise ValueError("a storage has another type or size than the pickle says")

    def _storage(self, kind: str, data: memoryview) -> _Storage:
        values = np.frombuffer(data, self._order + _DTYPES[kind])
        values = values.astype(values.dtype.newbyteorder("="), copy=False)
        if kind == "torch.BFloat16Storage":
            values = (values.astype(np.uint32) << 16).view(np.float32)
        elif kind == "torch.BoolStorage":
            values = values != 0
        values = np.require(values, requirements="A")
        values.flags.writeable = False
        return _Storage(kind, values)

    def load_reduce(self) -> None:
        arguments, function = self.stack.pop(), self.stack.pop()
        match getattr(function, "name", None), arguments:
            case "collections.OrderedDict", ():
                self.stack.append({})
            case "torch._utils._rebuild_tensor_v2", (_Storage() as it, n, tuple(size), tuple(step), _, _):
                self.stack.append(it.view(n, size, step))
            case "torch._utils._rebuild_parameter", (np.ndarray() as array, _, _):
                self.stack.append(array)
            case _:
                raise ValueError("it calls a function with other arguments than torch.save does")

    def load_build(self) -> None:
        match self.stack.pop(), self.stack[-1]:
            case {"_metadata": dict(), **others}, dict() if not others:
                return  # of Module.state_dict()
        raise ValueError("it sets other attributes than an OrderedDict's _metadata")

    def load_setitem(self) -> None:
        self._set([self.stack.pop(-2), self.stack.pop()])

    def load_setitems(self) -> None:
        self._set(self.pop_mark())

    def _set(self, items: list[Any]) -> None:
        for key, value in zip(items[::2], items[1::2], strict=True):
            if type(key) is not str and (type(key) is not int or key.bit_length() > 31):
                raise ValueError("a dictionary has a key that is neither text nor a small number")
            self.stack[-1][key] = value

    dispatch: ClassVar[dict[int, Any]] = {code: pickle._Unpickler.dispatch[code] for code in _OPCODES}
    dispatch.update(zip(b"Rbsu", (load_reduce, load_build, load_setitem, load_setitems), strict=True))


def _check_expansion(content: Any, array_bytes: int) -> None:
    """Raise ValueError if the content is too large when shared values are copied, or not plain values."""
    left, stack = PICKLE_BYTES, [(content, 0)]
    while stack:
        value, depth = stack.pop()
        if isinstance(value, dict):
            value = [*value, *value.values()]
        if isinstance(value, list | tuple):
            left -= len(value)
            stack += ((one, depth + 1) for one in value)
        elif isinstance(value, np.ndarray):
            array_bytes -= value.nbytes
        elif isinstance(value, str):
            left -= len(value.encode())
        elif isinstance(value, int):
            left -= value.bit_length() // 8
        elif not isinstance(value, float | None):
            raise ValueError("it has a type or a storage where a value is due")
        if min(left, array_bytes) < 0 or depth > DEPTH:
            raise ValueError("it is nested too deep, or far larger when written out than it is here")
