"""A checkpoint: one file that holds a network's weights and everything needed to use them.

Reading one needs no PyTorch. What does says so.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from model.architecture import Architecture
from model.files import atomically
from model.formats import FORMAT, is_checkpoint, upgraded
from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError, CheckpointMetadata, digest_of
from model.pth_file import read_pth

if TYPE_CHECKING:
    from torch import nn

Weights = dict[str, np.ndarray]
"""Arrays by their names in the network's state dict."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights, and the metadata that says which network they belong to and how to use it."""

    metadata: CheckpointMetadata
    weights: Weights

    def updated(self, **changes: Any) -> "Checkpoint":
        """With other values of some of the metadata's fields."""
        return replace(self, metadata=replace(self.metadata, **changes))

    def network(self) -> "nn.Module":
        """The network with these weights, in float32 and evaluation mode. Needs PyTorch.

        Raises CheckpointError where the weights are not the architecture's.
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
        """Write it atomically, as `as_saved` says. Needs PyTorch."""
        import torch

        from model.tensors import to_tensors

        content = self.metadata.values() | {"format": FORMAT, "weights": to_tensors(_halved(self.weights))}
        detector = content["ood_detector"]
        if detector:
            arrays = {name: detector[name] for name in ("mean", "whitening")}
            content["ood_detector"] = detector | {
                name: tensor.float() for name, tensor in to_tensors(arrays).items()
            }
        with atomically(path) as file:
            torch.save(content, file)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, or a bare state dict of one of the two hackathon layouts.

        Raises CheckpointError with a sentence that says what is wrong.
        """
        path = Path(path)
        content = read_pth(path)
        digest = digest_of(path)
        if not is_checkpoint(content):
            return _from_state_dict(content, path, digest)
        try:
            content = upgraded(content)
            return cls(
                CheckpointMetadata(**CheckpointMetadata.fields(content), digest=digest), content["weights"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{path} is an incomplete checkpoint: {error!r}") from error


def as_saved(weights: Weights) -> Weights:
    """The values that `Checkpoint.save` writes for these weights, in the weights' own types.

    Matrices and kernels are saved in float16, unless one of their values is too large for it, and vectors,
    which are those of batch norm and biases, as they are.
    """
    return {name: array.astype(weights[name].dtype) for name, array in _halved(weights).items()}


def _halved(weights: Weights) -> Weights:
    return {name: _half(array) if array.ndim > 1 else array for name, array in weights.items()}


def _half(array: np.ndarray) -> np.ndarray:
    with np.errstate(over="ignore"):
        half = array.astype(np.float16)
    return half if np.isfinite(half).all() else array


def _from_state_dict(content: dict[str, Any], path: Path, digest: str) -> Checkpoint:
    """The two hackathon layouts: whichever head they have tells how their pictures were prepared.

    What their label 1 meant they do not tell; it is taken to be REAL.
    """
    stems = [name for name in content if name.endswith("conv1.weight") and "layer" not in name]
    if len(stems) != 1 or not all(isinstance(array, np.ndarray) for array in content.values()):
        raise CheckpointError(f"{path} is neither a checkpoint nor the state dict of a ResNet18")
    prefix = stems[0].removesuffix("conv1.weight")
    weights = {name.removeprefix(prefix): array for name, array in content.items()}
    if "fc.weight" in weights:
        architecture, preprocess = Architecture("imagenet", "linear"), Preprocess(224, HALF, HALF)
    else:
        architecture = Architecture("imagenet", "mlp")
        preprocess = Preprocess(224, IMAGENET_MEAN, IMAGENET_STD)
    recipe = {"name": "state_dict", "head": architecture.head}
    return Checkpoint(CheckpointMetadata(architecture, preprocess, recipe=recipe, digest=digest), weights)
