"""The weights that training starts from: none, ImageNet's, or those of a file."""

from pathlib import Path
from urllib.error import URLError

from torch import Tensor
from torchvision.models import ResNet18_Weights

from model.checkpoint import Checkpoint
from model.network import Architecture, build_network


class InitialWeightsError(Exception):
    """The weights cannot be had, or none of them fits."""


def initial_weights(init: str, architecture: Architecture) -> dict[str, Tensor]:
    """Those tensors of `init` that fit the architecture by name and shape; the rest stay random.

    init: `none`; `imagenet`, which torchvision downloads once; or a checkpoint's path. The head of
    ImageNet's thousand classes never fits, nor does its 7x7 stem where ours is 3x3.
    Raises InitialWeightsError, or CheckpointError for a file that is not one.
    """
    if init == "none":
        return {}
    source = _imagenet() if init == "imagenet" else Checkpoint.load(Path(init)).weights
    own = build_network(architecture).state_dict()
    fitting = {
        name: tensor.to(own[name].dtype)
        for name, tensor in source.items()
        if name in own and tensor.shape == own[name].shape
    }
    if not fitting:
        raise InitialWeightsError(f"no tensor of {init} fits the recipe's network")
    return fitting


def _imagenet() -> dict[str, Tensor]:
    weights = ResNet18_Weights.IMAGENET1K_V1
    try:
        return dict(weights.get_state_dict(progress=True))
    except (URLError, OSError, RuntimeError) as error:
        raise InitialWeightsError(
            f"ImageNet's weights could not be had from {weights.url}: {error}. Check the network, lay the "
            "file into $TORCH_HOME/hub/checkpoints, or train with --init none"
        ) from error
