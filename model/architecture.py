"""The options and dimensions of the network. Imports no torch."""

from dataclasses import asdict, dataclass, replace
from typing import Any, Literal, NamedTuple, get_args

Stem = Literal["imagenet", "small", "small-pool", "small-late-pool"]
Head = Literal["linear", "mlp"]

FEATURES = 512
CHANNEL_MEANS = 64 + 64 + 128 + 256
STEM = ("conv1", "bn1", "relu", "maxpool")
STAGES = ("layer1", "layer2", "layer3", "layer4")
GRAD_CAM_LAYER = "layer2"
"""Default layer of heat maps; for 32x32 images its feature maps are 8x8, those of the last stage 2x2."""


class Backbone(NamedTuple):
    """title: its name in texts. features: how many the head takes."""

    title: str
    features: int


RESNET18 = "resnet18"
BACKBONES = {
    RESNET18: Backbone("ResNet18", FEATURES),
    "resnet50": Backbone("ResNet50", 2048),
    "efficientnet_b0": Backbone("EfficientNet-B0", 1280),
    "mobilenetv3_small": Backbone("MobileNetV3-Small", 1024),
    "convnext_atto": Backbone("ConvNeXt-Atto", 320),
    "vit_tiny": Backbone("ViT-Tiny", 192),
}
"""The backbones by name. timm builds all but ResNet18: see model.backbones."""


@dataclass(frozen=True)
class Architecture:
    """The network that a state dict belongs to.

    stem: of ResNet18, `imagenet` is 7x7 stride 2 with max-pool, for images of 224x224;
        `small` is 3x3 stride 1 without pooling, for 32x32; `small-pool` adds a 2x2 max-pool
        after it, a quarter of the computation in the stages; `small-late-pool` has that pool after the
        first stage. Other backbones have `imagenet`, as published, and `small`: see model.backbones.
    head: with 512 features, `linear` is 512 -> 1; `mlp` is 512 -> 128 -> ReLU -> dropout -> 1.
    dropout: dropout probability before the last layer, in [0, 1).
    backbone: one of BACKBONES.
    """

    stem: Stem = "small-pool"
    head: Head = "linear"
    dropout: float = 0.0
    backbone: str = RESNET18

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"unknown backbone {self.backbone!r}: one of {', '.join(BACKBONES)}")
        if self.stem not in get_args(Stem):
            raise ValueError(f"unknown stem {self.stem!r}: one of {', '.join(get_args(Stem))}")
        if self.head not in get_args(Head):
            raise ValueError(f"unknown head {self.head!r}: one of {', '.join(get_args(Head))}")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be in [0, 1), not {self.dropout}")
        if self.backbone != RESNET18 and self.stem not in ("imagenet", "small"):
            raise ValueError(f"{self.backbone} has no stem {self.stem}: it has imagenet or small")

    @property
    def ood_features(self) -> int:
        """How many numbers `model.ood` judges an image by: see `model.network.logits_and_means`."""
        return CHANNEL_MEANS if self.backbone == RESNET18 else BACKBONES[self.backbone].features

    def with_backbone(self, backbone: str) -> "Architecture":
        """The same head on another backbone, with a stem for images of the same size. Raises ValueError."""
        small = self.stem != "imagenet" and backbone != self.backbone
        return replace(self, backbone=backbone, stem="small" if small else self.stem)

    def to_dict(self) -> dict[str, Any]:
        """All fields, as a checkpoint has them: `backbone` only where it is another one than ResNet18.

        Files of ResNet18 can so be read by versions that know no other.
        """
        fields = asdict(self)
        if self.backbone == RESNET18:
            del fields["backbone"]
        return fields
