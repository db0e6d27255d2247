"""Copies of tensors from the CPU to the device that computes."""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """The CPU tensor on the device, itself where that is the CPU.

    A copy to a CUDA device is queued there: it waits neither for the device nor for what it has to do before.
    """
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)
