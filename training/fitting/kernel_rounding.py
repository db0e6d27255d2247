"""Quantization-aware training: kernels are rounded as int8 rounds them while gradients are computed.

Jacob et al. 2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only
Inference", CVPR, arXiv 1712.05877. The gradient of the rounding is that of the straight-through estimator:
Bengio et al. 2013, "Estimating or Propagating Gradients Through Stochastic Neurons for Conditional
Computation", arXiv 1308.3432. Activations are not rounded: int8 loses little by them (model/MODEL_CARD.md).
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from model.metadata import LARGEST_INT8_WEIGHT


def round_kernels(kernels: Tensor) -> Tensor:
    """Kernels (out, in, H, W) with the values of int8: 127 levels for each output channel, zero among them.

    What is rounded already stays as it is, also after a batch norm is folded into it.
    """
    largest = kernels.abs().amax((1, 2, 3), keepdim=True)
    step = (largest / LARGEST_INT8_WEIGHT).clamp_min(torch.finfo(kernels.dtype).tiny)
    return (kernels / step).round() * step


@contextmanager
def rounded_kernels(network: nn.Module) -> Iterator[None]:
    """Round the kernels of all convolutions, and give them back their values at the end.

    Parameters keep their gradients, which are those at the rounded values. An optimizer steps outside.
    """
    kernels = [module.weight.detach() for module in network.modules() if isinstance(module, nn.Conv2d)]
    originals = [kernel.clone() for kernel in kernels]
    try:
        for kernel in kernels:
            kernel.copy_(round_kernels(kernel))
        yield
    finally:
        for kernel, original in zip(kernels, originals, strict=True):
            kernel.copy_(original)
