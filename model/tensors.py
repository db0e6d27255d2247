"""Conversion between NumPy arrays and PyTorch tensors. Needs PyTorch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from model.metadata import CheckpointError


def to_tensors(arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    """Copies of the arrays on the CPU, with their dtypes."""
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}


def to_arrays(tensors: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """Copies of the tensors, with their dtypes."""
    return {name: tensor.detach().cpu().numpy().copy() for name, tensor in tensors.items()}


def load_tensors(path: Path) -> dict[str, Any]:
    """Load a dictionary of tensors and plain values without executing code. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # the unpickler raises many types on damaged files
        raise CheckpointError(f"{path} is not a file that torch can read safely: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content
