import pytest
import torch

from training.fitting.pruning import Pruning


def draw(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_pictures_not_yet_trained_on_are_never_left_out() -> None:
    pruning = Pruning(1000, 0.5)
    order, weights = pruning.choose(draw())
    assert sorted(order.tolist()) == list(range(1000))
    assert (weights == 1).all()
    pruning.record(torch.arange(500), torch.linspace(0.1, 1, 500))
    order, _ = pruning.choose(draw())
    assert set(range(500, 1000)) <= set(order.tolist())


def test_half_of_the_well_answered_are_left_out_and_the_others_weigh_double() -> None:
    pruning = Pruning(4000, 0.5)
    losses = torch.full((4000,), 0.01)
    losses[:1000] = 2.0
    pruning.record(torch.arange(4000), losses)
    order, weights = pruning.choose(draw())
    assert set(range(1000)) <= set(order.tolist())
    assert len(order) == len(set(order.tolist())) == pytest.approx(2500, abs=100)
    assert (weights[order < 1000] == 1).all()
    assert (weights[order >= 1000] == 2).all()
    assert float(weights.sum()) == pytest.approx(4000, abs=200)  # the expected gradient is that of all
    assert not torch.equal(pruning.choose(draw(1))[0], order)


def test_everything_is_everything() -> None:
    pruning = Pruning(100, 0.9)
    pruning.record(torch.arange(100), torch.rand(100, generator=draw()))
    order, weights = pruning.choose(draw(), everything=True)
    assert len(order) == 100
    assert (weights == 1).all()


def test_its_state_travels() -> None:
    one, other = Pruning(50, 0.5), Pruning(50, 0.5)
    one.record(torch.arange(50), torch.rand(50, generator=draw()))
    other.load_state_dict(one.state_dict())
    assert torch.equal(one.choose(draw())[0], other.choose(draw())[0])
