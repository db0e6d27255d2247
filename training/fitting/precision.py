"""The precision to train in: the requested one, or the faster one by measurement.

On a CPU bf16 is faster or slower, depending on the processor: a training step on 32x32 images took 2.3 ms per
image against 3.5 ms in f32 on one with AVX512-BF16, 4.9 ms against 4.2 ms on another.
"""

import copy
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import nn

from model.engines.hardware import autocast, has_autocast
from model.network import logits
from training.fitting.recipe import Recipe

Precision = Literal["f32", "bf16"]
PrecisionOption = Literal["auto", "f32", "bf16"]

WARMUP_PIXELS = 1 << 15  # of the first batch in each precision: 32 images of 32x32
STEPS = 2  # timed steps in each precision, on whole batches
MAX_SLOWDOWN = 1.5  # of bf16 against f32 on a CPU, above which the measurement ends


@dataclass(frozen=True)
class PrecisionChoice:
    """The precision of a run, and milliseconds per image by precision if they were measured."""

    precision: Precision
    milliseconds: dict[str, float]

    def __str__(self) -> str:
        times = ", ".join(f"{ms:.2f} in {name}" for name, ms in self.milliseconds.items())
        return f"training in {self.precision}" + (f": milliseconds per image: {times}" if times else "")


def choose_precision(
    requested: str, device: torch.device, measure: Callable[[], dict[str, float]]
) -> PrecisionChoice:
    """The requested precision; for `auto` the faster one, f32 on a device without autocast.

    measure: returns milliseconds per image by precision; called only where there is a choice.
    Raises ValueError for an unknown precision, and for bf16 on a device without autocast.
    """
    if requested not in get_args(PrecisionOption):
        raise ValueError(f"unknown precision {requested!r}: one of {', '.join(get_args(PrecisionOption))}")
    if requested == "auto":
        if not has_autocast(device):
            return PrecisionChoice("f32", {})
        times = measure()
        return PrecisionChoice("bf16" if times["bf16"] < times["f32"] else "f32", times)
    autocast(device, requested)  # raises ValueError
    return PrecisionChoice("bf16" if requested == "bf16" else "f32", {})


def step_times(
    network: nn.Module,
    recipe: Recipe,
    device: torch.device,
    count: int,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, float]:
    """Milliseconds per image of a forward and backward pass, by precision: the fastest of STEPS steps.

    count: number of training images, the upper limit of the batch size. Images are of full size. The network
    and all random states are left unchanged. Precisions alternate, so that other load affects both.

    A warm-up step on a small batch comes first. On a CPU that emulates bf16 a step can take ten times as long
    as in f32: the measurement ends, with the times it has, once bf16 is slower by MAX_SLOWDOWN. GPUs compile
    and load kernels in their first steps, whose times therefore decide nothing there.
    """
    side = recipe.preprocess.size
    batch_size = min(recipe.batch_size, count)
    warmup_size = min(batch_size, max(2, WARMUP_PIXELS // side**2))
    network = copy.deepcopy(network).train()
    times: dict[str, list[float]] = {name: [] for name in get_args(Precision)}
    with torch.random.fork_rng():
        for size in [warmup_size, *[batch_size] * STEPS]:
            images = torch.zeros((size, 3, side, side), dtype=torch.uint8, device=device)
            for name, taken in times.items():
                network.zero_grad()
                start = clock()
                with autocast(device, name):
                    z = logits(network, recipe.preprocess.normalize(images)).float()
                z.mean().backward()
                first = next(network.parameters()).grad  # the last gradient to be computed
                if first is not None:
                    float(first.sum())  # waits for the device
                taken.append((clock() - start) / size)
            if device.type == "cpu" and times["bf16"][-1] > MAX_SLOWDOWN * times["f32"][-1]:
                break
    return {name: 1000 * min(taken[1:] or taken) for name, taken in times.items()}
