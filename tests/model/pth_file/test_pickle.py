import os
import resource
import tracemalloc
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from model import pth_file
from model.metadata import CheckpointError
from model.pth_file import read_pth
from tests.model.pth_file.files import (
    CALL,
    FLOAT,
    HUGE,
    Called,
    assert_reads_as_torch_does,
    made,
    pickled,
    refused,
    saved,
    storage,
    tensor,
)

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
