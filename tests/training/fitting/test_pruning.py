import pytest
import torch

from training.fitting.pruning import Pruning


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_images_not_yet_trained_on_are_kept() -> None:
    pruning = Pruning(1000, 0.5)
    order, weights = pruning.select(seeded())
    assert sorted(order.tolist()) == list(range(1000))
    assert (weights == 1).all()
    pruning.update(torch.arange(500), torch.linspace(0.1, 1, 500))
    order, _ = pruning.select(seeded())
    assert set(range(500, 1000)) <= set(order.tolist())


def test_images_with_a_low_loss_are_pruned_and_the_kept_ones_reweighted() -> None:
    pruning = Pruning(4000, 0.5)
    losses = torch.full((4000,), 0.01)
    losses[:1000] = 2.0
    pruning.update(torch.arange(4000), losses)
    order, weights = pruning.select(seeded())
    assert set(range(1000)) <= set(order.tolist())
    assert len(order) == len(set(order.tolist())) == pytest.approx(2500, abs=100)
    assert (weights[order < 1000] == 1).all()
    assert (weights[order >= 1000] == 2).all()
    assert float(weights.sum()) == pytest.approx(4000, abs=200)  # the expected gradient is unchanged
    assert not torch.equal(pruning.select(seeded(1))[0], order)


def test_keep_all() -> None:
    pruning = Pruning(100, 0.9)
    pruning.update(torch.arange(100), torch.rand(100, generator=seeded()))
    order, weights = pruning.select(seeded(), keep_all=True)
    assert len(order) == 100
    assert (weights == 1).all()


def test_state_dict() -> None:
    one, other = Pruning(50, 0.5), Pruning(50, 0.5)
    one.update(torch.arange(50), torch.rand(50, generator=seeded()))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.select(seeded())[0], other.select(seeded())[0])
