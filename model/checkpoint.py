"""Checkpoints: a network's weights and metadata in one file. Reading one needs no PyTorch."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.architecture import Architecture
from model.files import atomic_write
from model.formats import FORMAT, is_checkpoint, upgrade
from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError, CheckpointMetadata
from model.pth_file import read_pth_and_digest

if TYPE_CHECKING:
    from torch import nn

Weights = dict[str, np.ndarray]
"""A state dict of arrays."""


@dataclass(frozen=True)
class Checkpoint:
    """The weights of a network, and the metadata needed to build and use it."""

    metadata: CheckpointMetadata
    weights: Weights

    def with_metadata(self, **changes: Any) -> "Checkpoint":
        """A copy with changed fields of the metadata."""
        return replace(self, metadata=replace(self.metadata, **changes))

    def network(self) -> "nn.Module":
        """The network with these weights, in float32 and evaluation mode. Needs PyTorch.

        Raises CheckpointError if the weights do not fit the architecture.
        """
        from model.network import build_network
        from model.tensors import to_tensors

        network = build_network(self.metadata.architecture)
        try:
            network.load_state_dict(to_tensors(self.weights))
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit the network they name: {error}") from error
        return network.eval()

    def save(self, path: Path) -> None:
        """Write the file atomically, with weights in the precision of `as_saved`. Needs PyTorch."""
        import torch

        from model.tensors import to_tensors

        content = self.metadata.to_dict() | {"format": FORMAT, "weights": to_tensors(_to_half(self.weights))}
        for kind in ("ood_detector", "image_detector"):
            if detector := content[kind]:
                arrays = {name: detector[name] for name in ("mean", "whitening")}
                tensors = {name: tensor.float() for name, tensor in to_tensors(arrays).items()}
                content[kind] = detector | tensors
        with atomic_write(path) as file:
            torch.save(content, file)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, or a bare state dict of one of the two hackathon layouts.

        Raises CheckpointError.
        """
        path = Path(path)
        content, digest = read_pth_and_digest(path)
        if not is_checkpoint(content):
            return _from_state_dict(content, path, digest)
        try:
            content = upgrade(content)
            return cls(CheckpointMetadata.from_dict(content, digest), content["weights"])
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is an incomplete checkpoint: {error!r}") from error


def as_saved(weights: Weights) -> Weights:
    """The weights rounded as `Checkpoint.save` does, in their own dtypes.

    Matrices and kernels are rounded to float16, unless one of their values overflows it. Vectors (batch norms
    and biases) are not rounded.
    """
    return {name: array.astype(weights[name].dtype) for name, array in _to_half(weights).items()}


def _to_half(weights: Weights) -> Weights:
    with np.errstate(over="ignore"):
        half = {name: array.astype(np.float16) for name, array in weights.items() if array.ndim > 1}
    return weights | {name: array for name, array in half.items() if np.isfinite(array).all()}


def _from_state_dict(content: dict[str, Any], path: Path, digest: str) -> Checkpoint:
    """A state dict of one of the two hackathon layouts; its head determines its preprocessing.

    The class of label 1 is not recorded; REAL is assumed.
    """
    stem_convolutions = [name for name in content if name.endswith("conv1.weight") and "layer" not in name]
    if len(stem_convolutions) != 1 or not all(isinstance(array, np.ndarray) for array in content.values()):
        raise CheckpointError(f"{path} is neither a checkpoint nor the state dict of a ResNet18")
    prefix = stem_convolutions[0].removesuffix("conv1.weight")
    weights = {name.removeprefix(prefix): array for name, array in content.items()}
    if "fc.weight" in weights:
        architecture, preprocess = Architecture("imagenet", "linear"), Preprocess(224, HALF, HALF)
    else:
        architecture = Architecture("imagenet", "mlp")
        preprocess = Preprocess(224, IMAGENET_MEAN, IMAGENET_STD)
    recipe = {"name": "state_dict", "head": architecture.head}
    return Checkpoint(CheckpointMetadata(architecture, preprocess, recipe=recipe, digest=digest), weights)
