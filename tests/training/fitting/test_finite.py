import math

import pytest
import torch
from torch import nn

from training.fitting.finite import NotFiniteError, check_finite, size_of


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_the_sentence(value: float) -> None:
    check_finite(3, {"training loss": 1.0, "gradient": 0.0})
    with pytest.raises(NotFiniteError, match="in epoch 3 a gradient is not finite; nothing"):
        check_finite(3, {"training loss": 1.0, "gradient": value})


def test_one_bad_weight_in_any_place_is_seen() -> None:
    networks = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2)]
    assert math.isfinite(size_of(*networks))
    for network in networks:
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                kept = tensor.clone()
                tensor.view(-1)[-1] = torch.nan
                assert not math.isfinite(size_of(*networks))
                tensor.copy_(kept)
