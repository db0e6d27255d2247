"""In which precision to train: what was asked for, or what a measurement finds faster."""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from model.engines.hardware import autocast, has_bf16
from model.network import logits
from training.fitting.recipes import Recipe

Precision = Literal["f32", "bf16"]
Asked = Literal["auto", "f32", "bf16"]

# Steps that are timed in each precision, after one that is not.
STEPS = 2


@dataclass(frozen=True)
class Choice:
    """What a run computes in, and the milliseconds that a picture took in each precision, if measured."""

    precision: Precision
    milliseconds: dict[str, float]

    def sentence(self) -> str:
        """For people."""
        times = ", ".join(f"{ms:.2f} in {name}" for name, ms in self.milliseconds.items())
        return f"training in {self.precision}" + (f": milliseconds a picture: {times}" if times else "")


def choose(asked: str, device: torch.device, measure: Callable[[], dict[str, float]]) -> Choice:
    """`asked`, or for `auto` the faster by `measure`, which is asked only where the device has bf16.

    measure: gives the milliseconds of a picture by precision. Raises ValueError for what is neither, and for
    bf16 where torch has none.
    """
    if asked not in get_args(Asked):
        raise ValueError(f"unknown precision {asked!r}: one of {', '.join(get_args(Asked))}")
    if asked == "auto":
        if not has_bf16(device):
            return Choice("f32", {})
        found = measure()
        return Choice("bf16" if found["bf16"] < found["f32"] else "f32", found)
    autocast(device, asked)  # raises where there is none
    return Choice("bf16" if asked == "bf16" else "f32", {})


def step_times(
    network: nn.Module,
    recipe: Recipe,
    device: torch.device,
    count: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Milliseconds a picture, by precision, that a pass forward and back takes, the faster of two.

    count: pictures there are; a batch has no more. Neither the network nor any random state is changed by it.
    Batches are of whole pictures and the precisions take turns, so that other load meets both.
    """
    batch, side = min(recipe.batch_size, count), recipe.preprocess.size
    network = copy.deepcopy(network).train()
    pictures = torch.zeros((batch, 3, side, side), dtype=torch.uint8, device=device)
    times: dict[str, list[float]] = {name: [] for name in get_args(Precision)}
    with torch.random.fork_rng():
        for _ in range(1 + STEPS):
            for name, taken in times.items():
                network.zero_grad()
                start = clock()
                with autocast(device, name):
                    z = logits(network, recipe.preprocess.normalise(pictures)).float()
                z.mean().backward()
                first = next(network.parameters()).grad  # the last to be known
                if first is not None:
                    float(first.sum())  # waits for the device
                taken.append(clock() - start)
    return {name: 1000 * min(taken[1:]) / batch for name, taken in times.items()}
