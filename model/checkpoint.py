"""A checkpoint: one file that says everything needed to use the network it holds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.architecture import Architecture
from model.files import atomically
from model.formats import FORMAT, is_checkpoint, upgraded
from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError, CheckpointMetadata, digest_of
from model.network import build_network


@dataclass(frozen=True)
class Checkpoint(CheckpointMetadata):
    """A metadata, and the weights of the network that it speaks of, by name."""

    weights: dict[str, Tensor] = field(default_factory=dict)

    def network(self) -> nn.Module:
        """The network with these weights, in float32 and evaluation mode."""
        network = build_network(self.architecture)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit the network they name: {error}") from error
        return network.eval()

    def save(self, path: Path) -> None:
        """Write it atomically; weight matrices in float16, the small vectors of batch norm in float32.

        See `as_saved`.
        """
        content = self.values() | {
            "format": FORMAT,
            "weights": {name: _halve(tensor) for name, tensor in self.weights.items()},
        }
        for name in ("mean", "whitening") if self.ood_detector else ():
            content["ood_detector"][name] = torch.from_numpy(content["ood_detector"][name]).float()
        with atomically(path) as file:
            torch.save(content, file)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, or a bare state dict of one of the two hackathon layouts.

        Raises CheckpointError with a sentence that says what is wrong.
        """
        path = Path(path)
        content = load_tensors(path)
        digest = digest_of(path)
        if is_checkpoint(content):
            try:
                return cls(**cls.fields(upgraded(content)), weights=content["weights"], digest=digest)
            except (KeyError, TypeError, ValueError) as error:
                raise CheckpointError(f"{path} is an incomplete checkpoint: {error!r}") from error
        return _from_state_dict(content, path, digest)


def load_tensors(path: Path) -> dict[str, Any]:
    """A dictionary of tensors and plain values, read without running any code the file may hold."""
    if not path.is_file():
        raise CheckpointError(f"there is no file {path}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError as error:
        raise CheckpointError(f"{path} cannot be read: {error}") from error
    except Exception as error:  # the unpickler meets damaged bytes with a dozen kinds of exception
        raise CheckpointError(f"{path} is not a file that torch can read safely: {error}") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not a checkpoint")
    return content


def as_saved(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """The values that `Checkpoint.save` writes for these weights, in the weights' own types."""
    return {name: _halve(tensor).to(tensor.dtype) for name, tensor in weights.items()}


def _halve(tensor: Tensor) -> Tensor:
    """A matrix in float16, unless it has a value beyond that; a copy of anything else."""
    if tensor.is_floating_point() and tensor.ndim > 1:
        half = tensor.half()
        if bool(half.isfinite().all()):
            return half
    return tensor.clone()


def _from_state_dict(content: dict[str, Any], path: Path, digest: str) -> Checkpoint:
    """The two hackathon layouts: whichever head they have tells how their pictures were prepared.

    What their label 1 meant they do not tell; it is taken to be REAL.
    """
    stems = [name for name in content if name.endswith("conv1.weight") and "layer" not in name]
    if len(stems) != 1 or not all(isinstance(tensor, Tensor) for tensor in content.values()):
        raise CheckpointError(f"{path} is neither a checkpoint nor the state dict of a ResNet18")
    prefix = stems[0].removesuffix("conv1.weight")
    weights = {name.removeprefix(prefix): tensor for name, tensor in content.items()}
    if "fc.weight" in weights:
        architecture, preprocess = Architecture("imagenet", "linear"), Preprocess(224, HALF, HALF)
    else:
        architecture = Architecture("imagenet", "mlp")
        preprocess = Preprocess(224, IMAGENET_MEAN, IMAGENET_STD)
    recipe = {"name": "state_dict", "head": architecture.head}
    checkpoint = Checkpoint(architecture, preprocess, recipe=recipe, digest=digest, weights=weights)
    checkpoint.network()  # wrong shapes or missing tensors are reported here, where the file is known
    return checkpoint
