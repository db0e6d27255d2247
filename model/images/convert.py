"""Conversion of a Pillow image to 8-bit RGB. Large images are converted in strips, to bound memory."""

from collections.abc import Iterator

import numpy as np
from PIL import Image

from model.images.errors import BrokenImageError

STRIP_PIXELS = 1_000_000

_ORIENTATION_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def to_rgb(image: Image.Image) -> np.ndarray:
    """uint8 of shape (H, W, 3), with the Exif orientation applied and transparency over white."""
    image = _apply_orientation(image)
    white = _white_level(image)
    if image.height <= max(1, STRIP_PIXELS // image.width):
        return np.asarray(_convert(image, white))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top, strip in _strips(image):
        pixels[top : top + strip.height] = np.asarray(_convert(strip, white))
    return pixels


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _apply_orientation(image: Image.Image) -> Image.Image:
    """Like `ImageOps.exif_transpose`, which also serializes all Exif data again."""
    image.load()
    method = _TRANSPOSE.get(image.getexif().get(_ORIENTATION_TAG, 1))
    if method is None:
        return image
    transposed = image.transpose(method)
    image.close()
    return transposed


def _white_level(image: Image.Image) -> float | None:
    """The value of white in a single-channel image of more than 8 bits; None for other images."""
    if image.mode.startswith("I;16"):
        return 65535.0
    if image.mode not in ("I", "F"):
        return None
    # 32-bit modes do not record a range: assume the smallest of 1, 255 and 65535 that holds all values.
    maxima = [float(np.max(np.asarray(strip))) for _, strip in _strips(image)]
    if not np.isfinite(maxima).all():
        raise BrokenImageError("the picture has values that are not numbers")
    return next((white for white in (1.0, 255.0, 65535.0) if max(maxima) <= white), max(maxima))


def _convert(image: Image.Image, white: float | None) -> Image.Image:
    if white is not None:
        values = np.asarray(image) * np.float32(255 / white)
        np.rint(values, out=values)
        np.clip(values, 0, 255, out=values)
        return Image.fromarray(values.astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        background = Image.new("RGB", rgba.size, "white")
        background.paste(rgba, mask=rgba.getchannel("A"))
        return background
    return image if image.mode == "RGB" else image.convert("RGB")
