"""Selection of a PyTorch device, and its support of bfloat16."""

from contextlib import AbstractContextManager, nullcontext

import torch


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is the first available of CUDA, MPS and CPU; other names are those of torch devices.

    Raises ValueError if the device is not available.
    """
    if name == "auto":
        if torch.cuda.is_available():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        else:
            name = "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:  # AssertionError: PyTorch built without CUDA
        raise ValueError(f"device {name!r} cannot be used here: {error}") from error
    return device


def has_bf16(device: torch.device) -> bool:
    """Whether the device is a CUDA device with native bfloat16 (Ampere or later)."""
    if device.type != "cuda":
        return False
    with torch.cuda.device(device):
        return torch.cuda.is_bf16_supported(including_emulation=False)


def has_autocast(device: torch.device) -> bool:
    """Whether torch supports autocast on the device."""
    return torch.amp.is_autocast_available(device.type)


def autocast(device: torch.device, precision: str) -> AbstractContextManager:
    """A context of autocast for `bf16`, and a null context for `f32`.

    Raises ValueError for bf16 on a device without autocast.
    """
    if precision != "bf16":
        return nullcontext()
    if not has_autocast(device):
        raise ValueError(f"{device} computes in f32 only: torch has no autocast for it")
    return torch.autocast(device.type, torch.bfloat16)
