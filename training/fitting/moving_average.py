"""The exponential moving average of a network's weights."""

import copy
from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn


class MovingAverage:
    """A copy of the network with averages of its weights and buffers over the steps.

    They are those of the first step, and then decay * average + (1 - decay) * current. torch's
    `AveragedModel` with `get_ema_multi_avg_fn(decay)` and `use_buffers` does the same, but copies a counter
    to the device in each update, and waits for it.

    network: the averaged one. Its parameters and buffers must stay the same tensors, changed in place.
    """

    def __init__(self, network: nn.Module, decay: float) -> None:
        self.network = copy.deepcopy(network)
        self._average = get_ema_multi_avg_fn(decay)
        self._updates = 0
        pairs = list(zip(_tensors(self.network), _tensors(network), strict=True))
        floating = [pair for pair in pairs if pair[0].is_floating_point()]
        integer = [pair for pair in pairs if not pair[0].is_floating_point()]
        self._groups = [list(zip(*group, strict=True)) for group in (floating, integer) if group]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's weights of now."""
        for averages, current in self._groups:
            if self._updates:
                self._average(averages, current, self._updates)
            else:
                for average, tensor in zip(averages, current, strict=True):
                    average.copy_(tensor)
        self._updates += 1

    def state_dict(self) -> dict[str, Any]:
        return {"network": self.network.state_dict(), "updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.network.load_state_dict(state["network"])
        self._updates = state["updates"]


def _tensors(network: nn.Module) -> list[Tensor]:
    return [tensor.detach() for tensor in chain(network.parameters(), network.buffers())]
