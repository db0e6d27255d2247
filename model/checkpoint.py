"""A checkpoint: one file that says everything needed to use the network it holds."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn

from model.calibration import Calibration
from model.domain import Domain
from model.files import atomically
from model.network import Architecture, build_network
from model.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess

FORMAT = "cifake-checkpoint/1"

Label = Literal["REAL", "FAKE"]


class CheckpointError(Exception):
    """The file is missing, is not a checkpoint, or does not fit the network it names."""


@dataclass(frozen=True)
class Checkpoint:
    """Weights and all that is needed to read a probability from them.

    positive: what label 1 meant in the training data, by the words of this project:
        REAL is a photograph.
    calibration: what the logit goes through before the sigmoid.
    threshold: a picture is called REAL where P(REAL) is at least this.
    domain: what tells pictures like the training data from others; None where nothing does.
    recipe, metrics, data: plain values, for people and for `/model`.
    digest: SHA-256 of the file it was read from; empty for one not read from a file.
    """

    architecture: Architecture
    preprocess: Preprocess
    weights: dict[str, Tensor]
    positive: Label = "REAL"
    calibration: Calibration = Calibration()
    threshold: float = 0.5
    domain: Domain | None = None
    recipe: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    digest: str = ""

    def __post_init__(self) -> None:
        if self.positive not in get_args(Label):
            raise ValueError(f"positive must be REAL or FAKE, not {self.positive!r}")
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold must be in [0, 1], not {self.threshold}")

    def network(self) -> nn.Module:
        """The network with these weights, in float32 and evaluation mode."""
        network = build_network(self.architecture)
        try:
            network.load_state_dict(self.weights)
        except RuntimeError as error:
            raise CheckpointError(f"the weights do not fit the network they name: {error}") from error
        return network.eval()

    def probability(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) in [0, 1] for logits of label 1, float64 of shape (N,)."""
        return self.uncalibrated(self.calibration(logits))

    def uncalibrated(self, logits: np.ndarray) -> np.ndarray:
        """P(REAL) as the network itself says it, without calibration. Shapes as for `probability`."""
        positive = 1 / (1 + np.exp(-np.clip(logits, -700, 700)))  # exp(710) is beyond float64
        return positive if self.positive == "REAL" else 1 - positive

    def save(self, path: Path) -> None:
        """Write it atomically; weight matrices in float16, the small vectors of batch norm in float32."""
        content = {
            "format": FORMAT,
            "architecture": asdict(self.architecture),
            "preprocess": asdict(self.preprocess),
            "weights": {name: _halve(tensor) for name, tensor in self.weights.items()},
            "positive": self.positive,
            "calibration": asdict(self.calibration),
            "threshold": self.threshold,
            "domain": self.domain and self.domain.tensors(),
            "recipe": self.recipe,
            "metrics": self.metrics,
            "data": self.data,
        }
        with atomically(path) as file:
            torch.save(content, file)

    @classmethod
    def load(cls, path: Path) -> "Checkpoint":
        """Read a checkpoint, or a bare state dict of one of the two hackathon layouts.

        Raises CheckpointError with a sentence that says what is wrong.
        """
        path = Path(path)
        content = load_tensors(path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        if content.get("format") == FORMAT:
            try:
                domain = content.get("domain")
                return cls(
                    architecture=Architecture(**content["architecture"]),
                    preprocess=_preprocess(content["preprocess"]),
                    weights=content["weights"],
                    positive=content["positive"],
                    calibration=Calibration(**content["calibration"]),
                    threshold=content["threshold"],
                    domain=domain and Domain.from_tensors(domain),
                    recipe=content["recipe"],
                    metrics=content["metrics"],
                    data=content["data"],
                    digest=digest,
                )
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


def _halve(tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() and tensor.ndim > 1 else tensor.clone()


def _preprocess(values: dict[str, Any]) -> Preprocess:
    return Preprocess(values["size"], tuple(values["mean"]), tuple(values["std"]))


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
    checkpoint = Checkpoint(architecture, preprocess, weights, recipe=recipe, digest=digest)
    checkpoint.network()  # wrong shapes or missing tensors are reported here, where the file is known
    return checkpoint
