"""From RGB pictures of any size to what the network takes: one object for training and serving.

Imports no torch: most servers need none.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from model.images.upscaling import undo_upscaling

if TYPE_CHECKING:
    from torch import Tensor

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
HALF = (0.5, 0.5, 0.5)


@dataclass(frozen=True)
class Preprocess:
    """How pictures are brought to the network's size and range.

    size: side in pixels of the square the network sees.
    mean, std: per channel, in units of full scale: a channel becomes (value / 255 - mean) / std.
    """

    size: int = 32
    mean: tuple[float, float, float] = HALF
    std: tuple[float, float, float] = HALF

    def resize(self, picture: np.ndarray) -> np.ndarray:
        """One RGB picture, uint8 of shape (H, W, 3), brought to (size, size, 3).

        A picture of that size is returned as it is, and the enlargement of one as that one (see
        `model.images.upscaling`). Any other is resampled with a bilinear filter whose support grows with the
        reduction, so that fine texture is averaged and not aliased. The aspect ratio is not kept: the
        whole picture is looked at.
        Raises ValueError for another type or shape.
        """
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3:
            raise ValueError(
                f"a picture must be uint8 of shape (H, W, 3), not {picture.dtype} {picture.shape}"
            )
        if picture.shape[:2] == (self.size, self.size):
            return picture
        small = undo_upscaling(picture, self.size)
        if small is not None:
            return small
        resized = Image.fromarray(picture).resize((self.size, self.size), Image.Resampling.BILINEAR)
        return np.asarray(resized)

    def pack(self, pictures: Sequence[np.ndarray] | np.ndarray) -> np.ndarray:
        """Pictures of any sizes as one array, uint8 of shape (N, size, size, 3)."""
        if not len(pictures):
            return np.empty((0, self.size, self.size, 3), np.uint8)
        return np.stack([self.resize(picture) for picture in pictures])

    def normalise(self, batch: "Tensor") -> "Tensor":
        """uint8 of shape (N, 3, H, W) to the float32 that the network takes, laid out in memory as it was."""
        values = batch.float()
        scale = 1 / (255 * values.new_tensor(self.std))
        shift = values.new_tensor(self.mean) * 255 * scale
        return values * scale.view(3, 1, 1) - shift.view(3, 1, 1)
