"""From the bytes of a picture file to RGB pixels, within limits, or an error that says what is wrong."""

import io
import threading
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"II*\0", b"MM\0*")


class ImageError(Exception):
    """These bytes give no picture."""


class UnsupportedImageError(ImageError):
    """Not a picture in a format that is read."""


class BrokenImageError(ImageError):
    """A picture of a known format whose data is cut short or damaged."""


class ImageTooLargeError(ImageError):
    """More pixels than allowed."""


@dataclass(frozen=True)
class ImageLimits:
    """pixels: the most a picture may have, width times height, told from its header before decoding."""

    pixels: int = 25_000_000


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 RGB of shape (H, W, 3); width, height: the picture's own, as it is shown."""

    pixels: np.ndarray
    width: int
    height: int


# A picture of this many pixels takes some 20 MB while it is decoded. Larger ones wait for one
# another, so that memory stays bounded whatever the number of threads.
_LARGE = 4_000_000
_one_large = threading.Lock()


def decode(
    data: bytes,
    limits: ImageLimits = ImageLimits(),
    shrink: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Picture:
    """The first frame of a picture file.

    EXIF rotation is applied; transparency is laid over white; palette, grey, CMYK and 16-bit
    pictures are converted. `shrink` may put smaller pixels in the place of the decoded ones; those
    of a large picture are then gone before the next large one is decoded. Raises
    UnsupportedImageError, BrokenImageError or ImageTooLargeError.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            _check(image, limits)
            with _one_large if image.width * image.height > _LARGE else nullcontext():
                pixels = np.asarray(_rgb(image))
                height, width = pixels.shape[:2]
                return Picture(shrink(pixels) if shrink else pixels, width, height)
    except ImageError:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(_too_large(limits)) from error
    except UnidentifiedImageError as error:
        if data.startswith(MAGIC):
            raise BrokenImageError("the picture's header is cut short or damaged") from error
        formats = ", ".join(FORMATS)
        raise UnsupportedImageError(f"this is not a picture in one of these formats: {formats}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        raise BrokenImageError(f"the picture is cut short or damaged: {error}") from error


def _check(image: Image.Image, limits: ImageLimits) -> None:
    if image.width * image.height > limits.pixels:
        raise ImageTooLargeError(f"{image.width}x{image.height} pixels: {_too_large(limits)}")


def _too_large(limits: ImageLimits) -> str:
    return f"a picture may have {limits.pixels} pixels at most; send a smaller one"


def _rgb(image: Image.Image) -> Image.Image:
    ImageOps.exif_transpose(image, in_place=True)
    if image.mode == "RGB" and not image.has_transparency_data:
        return image
    if image.mode.startswith("I;16"):
        return _grey(image, 65535)
    if image.mode in ("I", "F"):
        # 32-bit greys carry no range of their own: it is 0 to 1, or that of 8 or of 16 bits, or their own.
        top = float(np.max(np.asarray(image)))
        if not np.isfinite(top):
            raise BrokenImageError("the picture has values that are not numbers")
        return _grey(image, next((full for full in (1, 255, 65535) if top <= full), top))
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return image.convert("RGB")


def _grey(image: Image.Image, full: float) -> Image.Image:
    """One channel, `full` its white, as RGB. In place: these pictures may be large."""
    values = np.asarray(image) * np.float32(255 / full)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
