"""The weights that training starts from: none, ImageNet's, or those of a file."""

import hashlib
import math
from pathlib import Path
from urllib.error import URLError

import numpy as np
from torch import Tensor, hub
from torchvision.models import ResNet18_Weights

from model import SHIPPED
from model.architecture import RESNET18, Architecture, Stem
from model.backbones import BackboneError, create_body
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.metadata import CheckpointMetadata
from model.network import build_network
from model.predictor import Predictor
from model.tensors import to_arrays, to_tensors
from training.data.errors import TrainingError
from training.data.fingerprints import read_fingerprints
from training.data.labelled_images import LabelledImages
from training.fitting.calibration import negate
from training.fitting.recipe import Recipe

IMAGENET = ResNet18_Weights.IMAGENET1K_V1


class InitialWeightsError(TrainingError):
    """The weights cannot be had, or none of them fits."""


def initial_weights(init: str, architecture: Architecture) -> dict[str, Tensor]:
    """Those tensors of `init` that fit the architecture by name and shape; the rest stay random.

    init: `none`; `imagenet`, which torchvision downloads once, and whose hash is checked, or which timm
    downloads for other backbones than ResNet18; `shipped`, the checkpoint that comes with the project; or a
    checkpoint's path. The head of ImageNet's thousand classes never fits, nor does ResNet18's 7x7 stem where
    ours is 3x3.
    Raises InitialWeightsError, CheckpointError for a file that is not one, and BackboneError without timm.
    """
    if init == "none":
        return {}
    if init == "imagenet":
        source = _imagenet() if architecture.backbone == RESNET18 else _imagenet_by_timm(architecture)
    else:
        source = to_tensors(_load(init).weights)
    own = build_network(architecture).state_dict()
    fitting = {
        name: tensor.to(own[name].dtype)
        for name, tensor in source.items()
        if name in own and tensor.shape == own[name].shape
    }
    if not fitting:
        raise InitialWeightsError(
            f"no tensor of {init} fits the recipe's network, which is {architecture.backbone}: "
            "train with --init none"
        )
    return fitting


def initial_stem(init: str) -> Stem | None:
    """The stem that the weights `init`, those of a checkpoint, were trained with; None for `imagenet`."""
    return None if init == "imagenet" else _load(init).metadata.architecture.stem


def seen_fingerprints(init: str) -> np.ndarray | None:
    """The fingerprints of all pictures that the weights `init` were fitted to, uint64 of shape (N,).

    They are those that were trained on, and those that chose the epoch and the calibration. None if they are
    not recorded. Raises CheckpointError.
    """
    if init == "none":
        return np.empty(0, np.uint64)
    if init == "imagenet":
        return None
    return read_fingerprints(_path(init), _load(init).metadata.digest)


def initial_calibration(init: str, recipe: Recipe, negated: bool) -> Calibration:
    """The calibration of the weights `init`; the identity if it has none, or another preprocessing.

    negated: whether their last layer was.
    """
    if init == "imagenet" or _load(init).metadata.preprocess != recipe.preprocess:
        return Calibration()
    calibration = _load(init).metadata.calibration
    return negate(calibration) if negated else calibration


def is_complete(weights: dict[str, Tensor], architecture: Architecture) -> bool:
    """Whether the weights leave none of the network's to chance."""
    own = build_network(architecture).state_dict()
    return all(name in weights for name in own if not name.endswith("num_batches_tracked"))


def negate_inverted_head(
    weights: dict[str, Tensor], recipe: Recipe, pictures: LabelledImages, device: str = "auto"
) -> tuple[dict[str, Tensor], float]:
    """The weights, their last layer negated if they are wrong on more than half of `pictures`.

    Weights that were trained where label 1 meant the other class know all there is to know, with the
    wrong sign. Returns them and the share, in [0, 1], that they are right on as they came. Weights
    without a last layer that fits are returned as they are, with NaN.
    """
    if not is_complete(weights, recipe.architecture):
        return weights, math.nan
    metadata = CheckpointMetadata(recipe.architecture, recipe.preprocess)
    checkpoint = Checkpoint(metadata, to_arrays(weights))
    z = Predictor.from_checkpoint(checkpoint, device).logits(pictures.images)
    right = float(((z > 0) == (pictures.labels == 1)).mean())
    if right >= 0.5:
        return weights, right
    *_, matrix, bias = build_network(recipe.architecture).state_dict()
    return weights | {name: -weights[name] for name in (matrix, bias)}, right


def digest_of(weights: dict[str, Tensor]) -> str:
    """SHA-256 over all tensors with their names, types and shapes, in the order of the names."""
    sha = hashlib.sha256()
    for name, tensor in sorted(weights.items()):
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        sha.update(tensor.detach().cpu().contiguous().numpy().tobytes())
    return sha.hexdigest()


def _path(init: str) -> Path:
    return SHIPPED if init == "shipped" else Path(init)


def _load(init: str) -> Checkpoint:
    return Checkpoint.load(_path(init))


def _imagenet() -> dict[str, Tensor]:
    """From torchvision's cache, or its server. torch checks the hash of what it downloads only."""
    weights = IMAGENET
    try:
        file = Path(hub.get_dir(), "checkpoints", Path(weights.url).name)
        begins = file.stem.rsplit("-", 1)[-1]
        if file.exists() and not hashlib.sha256(file.read_bytes()).hexdigest().startswith(begins):
            raise InitialWeightsError(
                f"{file} is not the file that {weights.url} is: its SHA-256 does not begin with {begins}. "
                "Delete it, or train with --init none"
            )
        return dict(weights.get_state_dict(progress=True, check_hash=True))
    except (URLError, OSError, RuntimeError) as error:
        raise InitialWeightsError(
            f"ImageNet's weights could not be had from {weights.url}: {error}. Check the network, lay the "
            "file into $TORCH_HOME/hub/checkpoints, or train with --init none"
        ) from error


def _imagenet_by_timm(architecture: Architecture) -> dict[str, Tensor]:
    """From timm's cache, or its server; timm interpolates patches and position embedding of another size."""
    try:
        body = create_body(architecture, pretrained=True)
    except BackboneError:
        raise
    except Exception as error:  # huggingface_hub and its HTTP client raise many types
        raise InitialWeightsError(
            f"ImageNet's weights of {architecture.backbone} could not be had by timm: {error}. "
            "Check the network, or train with --init none"
        ) from error
    return {f"body.{name}": tensor for name, tensor in body.state_dict().items()}
