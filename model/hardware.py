"""Which device to use, and whether bfloat16 is fast on it."""

import torch


def pick_device(name: str = "auto") -> torch.device:
    """`auto` is CUDA, then MPS, then CPU; any other name is torch's.

    Raises ValueError where that device cannot be used here.
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
    except (RuntimeError, AssertionError) as error:  # torch asserts where it was built without CUDA
        raise ValueError(f"device {name!r} cannot be used here: {error}") from error
    return device


def fast_bf16(device: torch.device) -> bool:
    """Whether bfloat16 is a gain: on CUDA from Ampere on, on a CPU with AVX512-BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    return device.type == "cpu" and (
        torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported()
    )
