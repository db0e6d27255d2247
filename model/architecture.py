"""The options and dimensions of the network. Imports no torch."""

from dataclasses import dataclass
from typing import Literal, get_args

Stem = Literal["imagenet", "small", "small-pool", "small-late-pool"]
Head = Literal["linear", "mlp"]

FEATURES = 512
CHANNEL_MEANS = 64 + 64 + 128 + 256
STEM = ("conv1", "bn1", "relu", "maxpool")
STAGES = ("layer1", "layer2", "layer3", "layer4")
GRAD_CAM_LAYER = "layer2"
"""Default layer of heat maps; for 32x32 images its feature maps are 8x8, those of the last stage 2x2."""


@dataclass(frozen=True)
class Architecture:
    """The variant of ResNet18 that a state dict belongs to.

    stem: `imagenet` is 7x7 stride 2 with max-pool, for images of 224x224;
        `small` is 3x3 stride 1 without pooling, for 32x32; `small-pool` adds a 2x2 max-pool
        after it, a quarter of the computation in the stages; `small-late-pool` has that pool after the
        first stage.
    head: `linear` is 512 -> 1; `mlp` is 512 -> 128 -> ReLU -> dropout -> 1.
    dropout: dropout probability before the last layer, in [0, 1).
    """

    stem: Stem = "small-pool"
    head: Head = "linear"
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.stem not in get_args(Stem):
            raise ValueError(f"unknown stem {self.stem!r}: one of {', '.join(get_args(Stem))}")
        if self.head not in get_args(Head):
            raise ValueError(f"unknown head {self.head!r}: one of {', '.join(get_args(Head))}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")
