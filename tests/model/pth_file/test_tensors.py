from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from model.metadata import CheckpointError
from model.pth_file import read_pth
from tests.model.pth_file.files import (
    CALL,
    FLOAT,
    HUGE,
    Stored,
    made,
    pickled,
    refused,
    storage,
    tensor,
    write,
)

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
