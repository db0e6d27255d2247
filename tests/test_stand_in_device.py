"""The stand-in device rejects what some accelerators do not support."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.stand_in_device import STAND_IN, StandInDevice

REJECTED: dict[str, Callable[[Tensor], object]] = {
    "created": lambda x: torch.zeros(2, dtype=torch.float64, device=STAND_IN),
    "created from values": lambda x: torch.tensor([1.0], dtype=torch.float64, device=STAND_IN),
    "created like another": lambda x: x.new_zeros(2, dtype=torch.float64),
    "moved": lambda x: torch.zeros(2, dtype=torch.float64).to(STAND_IN),
    "moved in a network": lambda x: torch.nn.Linear(2, 2).double().to(STAND_IN),
    "widened": lambda x: x.double().cpu(),
    "of two devices": lambda x: x + torch.zeros(2),
    "autocast": lambda x: torch.autocast(STAND_IN.type, torch.bfloat16, enabled=False).__enter__(),
}


@pytest.mark.parametrize("case", REJECTED)
def test_rejected_operations(case: str) -> None:
    with StandInDevice():
        x = torch.zeros(2, device=STAND_IN)
        with pytest.raises((TypeError, RuntimeError), match="no torch.float64|two devices|autocast"):
            REJECTED[case](x)


def test_results() -> None:
    with StandInDevice():
        x = torch.tensor([1.0, 2.0], device=STAND_IN)
        x += x.new_tensor([1.0, 1.0])
        x[0] = 5
        assert x.device == STAND_IN
        assert x.cpu().double().tolist() == [5.0, 3.0]
        assert float((x * 2.0).sum()) == 16
