import math

import pytest
import torch
from torch import nn

from training.fitting.finite import NotFiniteError, check_finite, total_norm


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_check_finite(value: float) -> None:
    check_finite(3, {"training loss": 1.0, "gradient": 0.0})
    with pytest.raises(NotFiniteError, match="in epoch 3 a gradient is not finite; nothing"):
        check_finite(3, {"training loss": 1.0, "gradient": value})


def test_total_norm_detects_nan_in_every_tensor() -> None:
    networks = [nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3)) for _ in range(2)]
    assert math.isfinite(total_norm(*networks))
    for network in networks:
        for tensor in network.state_dict().values():
            if tensor.is_floating_point():
                kept = tensor.clone()
                tensor.view(-1)[-1] = torch.nan
                assert not math.isfinite(total_norm(*networks))
                tensor.copy_(kept)
