from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from training.fitting.distillation import Distillation
from training.fitting.recipes import RECIPES


def create_network() -> nn.Module:
    return nn.Linear(1, 1)


def weights(bias: float) -> dict[str, Tensor]:
    return {"weight": torch.zeros(1, 1), "bias": torch.tensor([bias])}


def predict(network: nn.Module) -> Tensor:
    return network(torch.zeros(3, 1)).detach().flatten()


def test_targets_are_blended_with_the_mean_of_the_last_two_teachers() -> None:
    distillation = Distillation(3, create_network)
    for bias in (100.0, 0.0, 2.0):  # the first is dropped
        distillation.add_teacher(weights(bias))
    distillation.update_soft_targets(predict)
    soft = float(torch.sigmoid(torch.tensor(1.0)))
    targets = distillation.blend(torch.tensor([2, 0]), torch.tensor([0.0, 1.0]), 0.25)
    torch.testing.assert_close(targets, torch.tensor([0.25 * soft, 0.75 + 0.25 * soft]))


def test_weight_0_needs_no_teachers() -> None:
    targets = torch.tensor([0.0, 1.0])
    assert torch.equal(Distillation(3, create_network).blend(torch.tensor([0, 1]), targets, 0.0), targets)


def test_state_dict(tmp_path: Path) -> None:
    first, second = (Distillation(3, create_network) for _ in range(2))
    first.add_teacher(weights(1.0))
    first.update_soft_targets(predict)
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(first.soft_targets, second.soft_targets)
    assert torch.equal(second.teachers[0]["bias"], torch.ones(1))


@pytest.mark.parametrize("distill_weight", [(), (0.5,), (0.0, 1.5)])
def test_invalid_distill_weights_are_refused(distill_weight: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distill_weight must be"):
        replace(RECIPES["cifake"], distill_weight=distill_weight)
