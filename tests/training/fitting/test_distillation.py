from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from training.fitting.distillation import Distillation
from training.fitting.recipes import RECIPES


def by_its_bias(weights: dict[str, Tensor]) -> Tensor:
    return weights["bias"].expand(3)


def test_targets_move_towards_what_the_last_two_cycles_say() -> None:
    distillation = Distillation(3)
    for bias in (100.0, 0.0, 2.0):  # the first is forgotten
        distillation.remember({"bias": torch.tensor(bias)})
    distillation.ask(by_its_bias)
    said = float(torch.sigmoid(torch.tensor(1.0)))
    targets = distillation.towards(torch.tensor([2, 0]), torch.tensor([0.0, 1.0]), 0.25)
    torch.testing.assert_close(targets, torch.tensor([0.25 * said, 0.75 + 0.25 * said]))


def test_without_a_share_nothing_needs_to_have_been_said() -> None:
    targets = torch.tensor([0.0, 1.0])
    assert torch.equal(Distillation(3).towards(torch.tensor([0, 1]), targets, 0.0), targets)


def test_its_state_goes_on_as_it_was(tmp_path: Path) -> None:
    first, second = Distillation(3), Distillation(3)
    first.remember({"bias": torch.tensor(1.0)})
    first.ask(by_its_bias)
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(first.said, second.said)
    assert torch.equal(second.teachers[0]["bias"], torch.tensor(1.0))


@pytest.mark.parametrize("distill_weight", [(), (0.5,), (0.0, 1.5)])
def test_a_first_cycle_has_nothing_to_learn_from(distill_weight: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distill_weight must be"):
        replace(RECIPES["cifake"], distill_weight=distill_weight)
