"""Networks with other backbones than ResNet18, built by timm, which is imported only here.

Wightman, "PyTorch Image Models", github.com/huggingface/pytorch-image-models.
"""

from typing import Any

from torch import Tensor, nn

from model.architecture import STAGES, Architecture

TIMM_NAMES = {"mobilenetv3_small": "mobilenetv3_small_100", "vit_tiny": "vit_tiny_patch16_224"}
SMALL = {"img_size": 32, "patch_size": 4}  # of a vision transformer with the stem `small`


class BackboneError(ValueError):
    """The backbone cannot be built here."""


class BackboneNetwork(nn.Module):
    """A backbone and the head of one logit; its state dict has the names `body.…` of timm's, and `head.…`.

    The stem `imagenet` is timm's. `small` is for images of 32x32: a vision transformer has patches of 4x4,
    and in other networks the first convolution has half the stride, so that the last feature maps are 2x2
    like those of ResNet18 with `small-pool`. A vision transformer interpolates its position embedding for
    images of other sizes than 32x32, or with the stem `imagenet` 224x224.
    """

    def __init__(self, architecture: Architecture, head: nn.Module) -> None:
        """With random weights from torch's global generator. Raises BackboneError without timm."""
        super().__init__()
        self._architecture = architecture
        self.body: Any = create_body(architecture)
        self.head = head
        self._prefix_tokens = getattr(self.body, "num_prefix_tokens", 0)  # a transformer's class token

    def features(self, images: Tensor) -> Tensor:
        """What the head takes, shape (N, features), of normalized images of shape (N, 3, H, W)."""
        return self.body(images)

    def forward(self, images: Tensor) -> Tensor:
        """Logits of shape (N, 1) for normalized images of shape (N, 3, H, W)."""
        return self.head(self.features(images))

    def fix_size(self, size: int) -> None:
        """Take only images of this height and width, in pixels.

        A vision transformer then interpolates nothing. timm exports that interpolation whatever the size, and
        it is no operation of ONNX.
        """
        if getattr(self.body, "dynamic_img_size", False):
            body = create_body(self._architecture, any_size=False).train(self.training)
            body.load_state_dict(self.body.state_dict())
            body.set_input_size(img_size=(size, size))
            self.body = body

    def stage(self, name: str) -> nn.Module:
        """One of the last four stages, or of a transformer blocks, that timm names; name: one of STAGES.

        After the last block of a transformer nothing reads the patches, but the class token only: it does not
        count.
        """
        stages = list(self.body.feature_info)
        if self._prefix_tokens:
            del stages[-1]
        return self.body.get_submodule(stages[-len(STAGES) :][STAGES.index(name)]["module"])

    def to_maps(self, output: Tensor) -> Tensor:
        """A stage's output as feature maps (N, channels, H, W); a transformer's are its patches' tokens."""
        if output.ndim == 4:
            return output
        tokens = output[:, self._prefix_tokens :]
        side = round(tokens.shape[1] ** 0.5)
        return tokens.transpose(1, 2).unflatten(2, (side, side))


def create_body(architecture: Architecture, pretrained: bool = False, any_size: bool = True) -> Any:
    """timm's network without its classifier: from images (N, 3, H, W) to features (N, features).

    pretrained: with ImageNet's weights, which timm downloads once. any_size: whether a vision transformer
    takes images of any size. Raises BackboneError without timm.
    """
    try:
        import timm
    except ImportError as error:
        raise BackboneError(
            f"the backbone {architecture.backbone} is built by timm, which is missing ({error}): "
            "pip install --group backbones"
        ) from error
    name = TIMM_NAMES.get(architecture.backbone, architecture.backbone)
    transformer, small = name.startswith("vit_"), architecture.stem == "small"
    options: dict[str, Any] = {"dynamic_img_size": any_size} if transformer else {}
    if transformer and small:
        options |= SMALL
    body = timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    if small and not transformer:
        halve_stride(next(module for module in body.modules() if isinstance(module, nn.Conv2d)))
    return body


def halve_stride(convolution: nn.Conv2d) -> None:
    """Halve a convolution's stride, and pad its input to twice the height and width of its former output."""
    convolution.stride = tuple(step // 2 for step in convolution.stride)
    sizes = zip(convolution.kernel_size, convolution.stride, strict=True)
    convolution.padding = tuple((side - step + 1) // 2 for side, step in sizes)
