from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from model.architecture import Stem
from training.fitting.distillation import Distillation
from training.fitting.recipes import RECIPES

IMAGES = torch.linspace(-1, 1, 24).view(2, 3, 2, 2)


def create_network(_stem: Stem) -> nn.Module:
    return nn.Linear(1, 1)


def weights(bias: float) -> dict[str, Tensor]:
    return {"weight": torch.zeros(1, 1), "bias": torch.tensor([bias])}


def predict(network: nn.Module) -> Tensor:
    return network(torch.zeros(3, 1)).detach().flatten()


def test_targets_are_blended_with_the_mean_of_the_last_two_snapshots() -> None:
    distillation = Distillation(3, create_network)
    for bias in (100.0, 0.0, 2.0):  # the first is dropped
        distillation.add_snapshot("small-pool", weights(bias))
    distillation.update_soft_targets(predict)
    soft = float(torch.sigmoid(torch.tensor(1.0)))
    targets = distillation.blend(torch.tensor([2, 0]), IMAGES, torch.tensor([0.0, 1.0]), 0.25)
    torch.testing.assert_close(targets, torch.tensor([0.25 * soft, 0.75 + 0.25 * soft]))


def test_weight_0_needs_no_teachers() -> None:
    targets = torch.tensor([0.0, 1.0])
    blended = Distillation(3, create_network).blend(torch.tensor([0, 1]), IMAGES, targets, 0.0)
    assert torch.equal(blended, targets)


def test_a_given_teacher_answers_the_images_themselves() -> None:
    """In evaluation mode, without a change of its own mode, and in place of snapshots."""
    teacher = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(12), nn.Linear(12, 1)).train()
    distillation = Distillation(3, create_network, teacher=teacher)
    distillation.add_snapshot("small-pool", weights(100.0))
    distillation.update_soft_targets(predict)
    before = {name: tensor.clone() for name, tensor in teacher.state_dict().items()}
    targets = torch.tensor([0.0, 1.0])
    blended = distillation.blend(torch.tensor([2, 0]), IMAGES, targets, 0.75)
    assert teacher.training
    assert all(torch.equal(teacher.state_dict()[name], tensor) for name, tensor in before.items())
    soft = teacher.eval()(IMAGES).flatten().sigmoid().detach()
    torch.testing.assert_close(blended, 0.25 * targets + 0.75 * soft)
    assert distillation.state_dict()["snapshots"] == []


def test_gradients_pass_through_the_loss_of_blended_targets() -> None:
    """They are no inference tensors, which cannot be saved for the backward pass; the teacher gets none."""
    teacher = nn.Sequential(nn.Flatten(), nn.Linear(12, 1))
    distillation = Distillation(2, create_network, teacher=teacher)
    z = torch.zeros(2, requires_grad=True)
    target = distillation.blend(torch.arange(2), IMAGES, torch.tensor([0.0, 1.0]), 0.5)
    nn.functional.binary_cross_entropy_with_logits(z, target).backward()
    assert z.grad is not None
    torch.testing.assert_close(z.grad, (0.5 - target) / 2)
    assert all(parameter.grad is None for parameter in teacher.parameters())


def test_state_dict(tmp_path: Path) -> None:
    first, second = (Distillation(3, create_network) for _ in range(2))
    first.add_snapshot("small-late-pool", weights(1.0))
    first.update_soft_targets(predict)
    torch.save(first.state_dict(), tmp_path / "state")
    second.load_state_dict(torch.load(tmp_path / "state", weights_only=True))
    assert torch.equal(first.soft_targets, second.soft_targets)
    stem, own = second.snapshots[0]
    assert stem == "small-late-pool"
    assert torch.equal(own["bias"], torch.ones(1))


def test_each_snapshot_is_asked_with_its_own_stem() -> None:
    stems: list[Stem] = []

    def remember(stem: Stem) -> nn.Module:
        stems.append(stem)
        return create_network(stem)

    distillation = Distillation(3, remember)
    distillation.add_snapshot("small-pool", weights(0.0))
    distillation.add_snapshot("small-late-pool", weights(0.0))
    distillation.update_soft_targets(predict)
    assert stems == ["small-pool", "small-late-pool"]


@pytest.mark.parametrize("distill_weight", [(), (-0.5,), (0.0, 1.5)])
def test_invalid_distill_weights_are_refused(distill_weight: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="distill_weight must be"):
        replace(RECIPES["cifake"], distill_weight=distill_weight)
