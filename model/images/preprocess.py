"""Preprocessing of RGB images, the same for training and serving. Imports no torch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from PIL import Image

from model.images.upscaling import MAX_SCALE, undo_upscaling

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


class FittedImage(NamedTuple):
    """pixels: uint8 of shape (size, size, 3). resampled: whether a filter changed them, so that they are not
    those of an image of that size."""

    pixels: np.ndarray
    resampled: bool


@dataclass(frozen=True)
class Preprocess:
    """Resizing and normalization.

    size: height and width of the network's input in pixels.
    mean, std: per channel, in units of full scale: a channel becomes (value / 255 - mean) / std.
    """

    size: int = 32
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF

    @property
    def min_side(self) -> int:
        """Pixels to which a decoder may reduce the sides of an image before `fit`.

        That is more than an upscaled one has; the difference to the result is that of rounding.
        """
        return MAX_SCALE * self.size + 1

    def resize(self, picture: np.ndarray | Image.Image) -> np.ndarray:
        """The pixels of `fit`."""
        return self.fit(picture).pixels

    def fit(self, picture: np.ndarray | Image.Image) -> FittedImage:
        """Resize one RGB image, uint8 of shape (H, W, 3) or of Pillow, to (size, size, 3).

        An image of that size is returned unchanged, and an upscaled one is downscaled exactly (see
        `model.images.upscaling`). Others are resampled bilinearly with antialiasing, without cropping and
        without keeping the aspect ratio. Raises ValueError for another dtype or shape.
        """
        image = picture if isinstance(picture, Image.Image) else _as_image(picture)
        if image.mode != "RGB":
            raise ValueError(f"a picture must be RGB, not {image.mode}")
        if image.size == (self.size, self.size):
            return FittedImage(np.asarray(picture), False)
        if max(image.size) <= MAX_SCALE * self.size:
            small = undo_upscaling(np.asarray(picture), self.size)
            if small is not None:
                return FittedImage(small, False)
        resized = image.resize((self.size, self.size), Image.Resampling.BILINEAR)
        return FittedImage(np.asarray(resized), True)

    def to_batch(self, pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Resize images of any sizes to one array, uint8 of shape (N, size, size, 3)."""
        if not len(pictures):
            return np.empty((0, self.size, self.size, 3), np.uint8)
        return np.stack([self.resize(picture) for picture in pictures])

    def normalize(self, batch: "Tensor") -> "Tensor":
        """Normalize uint8 images of shape (N, 3, H, W) to float32. Keeps the memory format."""
        values = batch.float()
        scale = 1 / (255 * values.new_tensor(self.std))
        shift = values.new_tensor(self.mean) * 255 * scale
        return values * scale.view(3, 1, 1) - shift.view(3, 1, 1)


def _as_image(picture: np.ndarray) -> Image.Image:
    if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
        raise ValueError(f"a picture must be uint8 of shape (H, W, 3), not {picture.dtype} {picture.shape}")
    return Image.fromarray(picture)
