"""The stand-in for a device refuses what it is there to refuse."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from tests.elsewhere import THERE, Elsewhere

WRONG: dict[str, Callable[[Tensor], object]] = {
    "made there": lambda there: torch.zeros(2, dtype=torch.float64, device=THERE),
    "made there of numbers": lambda there: torch.tensor([1.0], dtype=torch.float64, device=THERE),
    "made there like another": lambda there: there.new_zeros(2, dtype=torch.float64),
    "moved there": lambda there: torch.zeros(2, dtype=torch.float64).to(THERE),
    "moved there in a network": lambda there: torch.nn.Linear(2, 2).double().to(THERE),
    "widened there": lambda there: there.double().cpu(),
    "of two devices": lambda there: there + torch.zeros(2),
    "autocast": lambda there: torch.autocast(THERE.type, torch.bfloat16, enabled=False).__enter__(),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_refused(what: str) -> None:
    with Elsewhere():
        there = torch.zeros(2, device=THERE)
        with pytest.raises((TypeError, RuntimeError), match="no torch.float64|two devices|autocast"):
            WRONG[what](there)


def test_what_is_computed() -> None:
    with Elsewhere():
        there = torch.tensor([1.0, 2.0], device=THERE)
        there += there.new_tensor([1.0, 1.0])
        there[0] = 5
        assert there.device == THERE
        assert there.cpu().double().tolist() == [5.0, 3.0]
        assert float((there * 2.0).sum()) == 16
