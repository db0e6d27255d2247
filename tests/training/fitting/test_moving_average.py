import copy
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from training.fitting.moving_average import MovingAverage


def networks() -> tuple[nn.Module, nn.Module]:
    """Two equal networks, with buffers of floats and of integers."""
    network = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    return network, copy.deepcopy(network)


def step(network: nn.Module, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    network(torch.randn(8, 4, generator=generator))  # changes the batch norm's buffers
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += torch.randn(parameter.shape, generator=generator)


def equal(one: nn.Module, other: nn.Module) -> bool:
    pairs = zip(one.state_dict().values(), other.state_dict().values(), strict=True)
    return all(torch.equal(*pair) for pair in pairs)


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.995])
def test_it_is_torchs(decay: float) -> None:
    network, same = networks()
    own = MovingAverage(network, decay)
    torchs = AveragedModel(same, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
    for seed in range(5):
        step(network, seed)
        step(same, seed)
        own.update()
        torchs.update_parameters(same)
        assert equal(own.network, torchs.module)
    assert equal(own.network, network) is (decay == 0)


@pytest.mark.parametrize("done", [0, 1, 3])
def test_it_goes_on_from_its_state(done: int, tmp_path: Path) -> None:
    network, same = networks()
    first, second = MovingAverage(network, 0.5), MovingAverage(same, 0.5)
    for seed in range(done):
        step(network, seed)
        first.update()
    torch.save([network.state_dict(), first.state_dict()], tmp_path / "state")
    weights, state = torch.load(tmp_path / "state", weights_only=True)
    same.load_state_dict(weights)
    second.load_state_dict(state)
    for one, average in ((network, first), (same, second)):
        step(one, 9)
        average.update()
    assert equal(first.network, second.network)


def test_a_network_without_buffers() -> None:
    network = nn.Linear(2, 1)
    average = MovingAverage(network, 0.5)
    average.update()
    assert equal(average.network, network)
