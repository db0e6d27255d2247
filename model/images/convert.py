"""Conversion of a Pillow image to 8-bit RGB, in strips, to bound memory."""

from collections.abc import Iterator

import numpy as np
from PIL import Image
from PIL.ImageCms import ImageCmsTransform
from PIL.TiffImagePlugin import BITSPERSAMPLE, PHOTOMETRIC_INTERPRETATION

from model.images.errors import BrokenImageError, UnsupportedImageError
from model.images.icc import srgb_transform

STRIP_PIXELS = 1_000_000
ROUNDING = 0.5 / 255  # of floating-point values that resampling puts outside 0 to 1


def to_rgb(image: Image.Image, profile: bytes | None = None) -> Image.Image:
    """The image in sRGB, of mode "RGB", with transparency over white. The image itself may be changed.

    profile: the ICC profile of the file, if the image does not have it. One that is damaged or does not fit
    the image is ignored. CMYK without a profile is converted as Pillow does.

    Raises UnsupportedImageError or BrokenImageError for floating-point values that are not within 0 to 1.
    """
    image.load()
    grey_range = _grey_range(image)
    transform = srgb_transform(profile or image.info.get("icc_profile"), image.mode)
    if image.mode == "RGB" and transform is None and not image.has_transparency_data:
        return image
    converted = Image.new("RGB", image.size)
    for top, strip in _strips(image):
        converted.paste(_convert(strip, grey_range, transform), (0, top))
    return converted


def _strips(image: Image.Image) -> Iterator[tuple[int, Image.Image]]:
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        yield top, image.crop((0, top, image.width, min(top + rows, image.height)))


def _grey_range(image: Image.Image) -> tuple[float, float] | None:
    """The values of black and white in a grey image of more than 8 bits; None for other images.

    Unsigned samples have the full range of their bits: W3C PNG, section 12.4; TIFF 6.0, section 8, by which
    MinSampleValue and MaxSampleValue are not to affect the appearance. For floating-point samples TIFF gives
    no range; that of image editors is 0 to 1.
    """
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return None
    tags = getattr(image, "tag_v2", {})  # of a TIFF
    white = 1.0 if image.mode == "F" else 2.0 ** tags.get(BITSPERSAMPLE, (16,))[0] - 1
    return (white, 0.0) if tags.get(PHOTOMETRIC_INTERPRETATION) == 0 else (0.0, white)


def _convert(
    image: Image.Image, grey_range: tuple[float, float] | None, transform: ImageCmsTransform | None
) -> Image.Image:
    if grey_range is not None:
        image = _to_8_bits(image, *grey_range)
    alpha = None
    if image.has_transparency_data:
        rgba = _in_mode(image.convert("LA") if image.mode == "La" else image, "RGBA")
        image, alpha = rgba.convert("RGB"), rgba.getchannel("A")
    if transform is not None:
        image = _in_mode(image, transform.input_mode)
        image = transform.apply(image, image if image.mode == "RGB" else None)
    image = _in_mode(image, "RGB")
    if alpha is None:
        return image
    background = Image.new("RGB", image.size, "white")
    background.paste(image, mask=alpha)
    return background


def _in_mode(image: Image.Image, mode: str) -> Image.Image:
    return image if image.mode == mode else image.convert(mode)


def _to_8_bits(image: Image.Image, black: float, white: float) -> Image.Image:
    """An image "L", or "LA" if a value is transparent."""
    values = np.asarray(image)
    if image.mode == "I":  # Pillow keeps unsigned samples of 32 bits as signed ones
        values = values.view(np.uint32)
    if image.mode == "F":
        low, high = float(values.min()), float(values.max())
        if not np.isfinite((low, high)).all():
            raise BrokenImageError("the picture has values that are not numbers")
        if low < -ROUNDING or high > 1 + ROUNDING:
            raise UnsupportedImageError(
                f"this is a TIFF of floating-point values from {low:.6g} to {high:.6g}; "
                "send one of values from 0 to 1, or a PNG"
            )
    levels = (values.astype(np.float32) - np.float32(black)) * np.float32(255 / (white - black))
    np.rint(levels, out=levels)
    np.clip(levels, 0, 255, out=levels)
    grey = Image.fromarray(levels.astype(np.uint8))
    if "transparency" in image.info:
        opaque = values != image.info["transparency"]
        grey.putalpha(Image.fromarray(opaque.astype(np.uint8) * np.uint8(255)))
    return grey
