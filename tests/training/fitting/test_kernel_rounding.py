from collections.abc import Mapping

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from model.architecture import Architecture
from model.checkpoint import as_saved
from model.engines.openvino_graph import build_graph
from model.engines.quantization import quantize
from model.images.preprocess import Preprocess
from model.network import TinyConv2d
from tests.networks import SIZE, random_weights, run_graph
from tests.pictures import noise
from training.fitting.kernel_rounding import round_kernels, rounded_kernels

SEEDS = st.integers(0, 2**32 - 1)


def random_kernels(seed: int) -> torch.Tensor:
    """Of many magnitudes from channel to channel, one of them without any weight but 0."""
    generator = torch.Generator().manual_seed(seed)
    kernels = torch.randn(9, 5, 3, 3, generator=generator)
    kernels *= 10 ** (-3 * torch.rand(9, 1, 1, 1, generator=generator))
    kernels[4] = 0
    return kernels


@given(SEEDS)
def test_a_kernel_has_127_levels(seed: int) -> None:
    kernels = random_kernels(seed)
    rounded = round_kernels(kernels)
    largest = kernels.abs().amax((1, 2, 3), keepdim=True)
    levels = rounded / largest.clamp_min(1e-30) * 63
    torch.testing.assert_close(levels, levels.round(), rtol=0, atol=1e-4)
    assert levels.abs().max() <= 63.001
    assert ((rounded - kernels).abs() <= largest / 63 / 2 * 1.001).all()
    assert not rounded[4].any()


@given(SEEDS)
def test_rounded_kernels_are_not_rounded_again(seed: int) -> None:
    """Nor those that were saved in float16 and then multiplied by a batch norm's scale."""
    rounded = round_kernels(random_kernels(seed))
    torch.testing.assert_close(round_kernels(rounded), rounded, rtol=1e-6, atol=0)
    scales = torch.rand(9, 1, 1, 1, generator=torch.Generator().manual_seed(seed)) + 0.1
    folded = rounded.half().float() * scales
    torch.testing.assert_close(round_kernels(folded), folded, rtol=2e-3, atol=1e-7)


def logits(weights: Mapping[str, np.ndarray], rounds: bool) -> np.ndarray:
    preprocess = Preprocess(SIZE, mean=(0, 0, 0), std=(1, 1, 1))
    graph = build_graph(weights, Architecture(), preprocess)
    if rounds:
        quantize(graph, ())
    return run_graph(graph, np.stack([noise(seed, SIZE, SIZE) for seed in range(4)]))[0]


def test_int8_leaves_rounded_kernels_as_they_are() -> None:
    plain = random_weights(Architecture())
    rounded = as_saved(
        {
            name: round_kernels(torch.from_numpy(array)).numpy() if array.ndim == 4 else array
            for name, array in plain.items()
        }
    )
    lost, before = (np.abs(logits(one, True) - logits(one, False)).max() for one in (rounded, plain))
    assert lost < before / 10


def test_the_kernels_of_convolutions_come_back() -> None:
    network = nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), TinyConv2d(4, 4, 3, padding=1), nn.Flatten(), nn.Linear(4, 1)
    )
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    storage = [parameter.data_ptr() for parameter in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    with pytest.raises(KeyboardInterrupt), rounded_kernels(network):
        for name, parameter in network.named_parameters():
            rounded = round_kernels(before[name]) if parameter.ndim == 4 else before[name]
            assert torch.equal(parameter, rounded)
        network(torch.rand(2, 3, 3, 3)).sum().backward()
        raise KeyboardInterrupt
    assert all(torch.equal(parameter, before[name]) for name, parameter in network.named_parameters())
    assert storage == [parameter.data_ptr() for parameter in network.parameters()]
    optimizer.step()
    for name, parameter in network.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.1 * parameter.grad)  # type: ignore[operator]


def test_gradients_are_those_at_the_rounded_kernels() -> None:
    network = nn.Conv2d(2, 3, 3, bias=False)
    picture = torch.rand(1, 2, 5, 5)
    with rounded_kernels(network):
        network(picture).square().sum().backward()
    exact = nn.Conv2d(2, 3, 3, bias=False)
    exact.weight.data = round_kernels(network.weight.data)
    exact(picture).square().sum().backward()
    assert torch.equal(network.weight.grad, exact.weight.grad)  # type: ignore[arg-type]
