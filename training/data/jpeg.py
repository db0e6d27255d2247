"""JPEG re-encoding and JPEG's colour transform, for augmentation and the robustness test."""

import io

import numpy as np
import torch
from PIL import Image

# JPEG's colour transform: full-range BT.601 (ITU-T T.871). Rows: Y, Cb - 128, Cr - 128.
RGB_TO_YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
YCBCR_TO_RGB = torch.linalg.inv(RGB_TO_YCBCR)


def jpeg_reencode(picture: np.ndarray, quality: int) -> np.ndarray:
    """An RGB picture, uint8 of shape (H, W, 3), encoded as JPEG at `quality` 1 to 95 and decoded again."""
    return np.asarray(reencode(Image.fromarray(picture), "JPEG", quality))


def reencode(picture: Image.Image, file_format: str, quality: int) -> Image.Image:
    """The picture encoded in a lossy format (Pillow's name of it) and decoded again, as RGB."""
    file = io.BytesIO()
    picture.save(file, file_format, quality=quality)
    return Image.open(file).convert("RGB")
