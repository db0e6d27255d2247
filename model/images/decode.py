"""Decoding of image files to RGB arrays, within limits of pixels, memory and time."""

import io
import math
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import AvifImagePlugin, Image, UnidentifiedImageError, WebPImagePlugin

from model.images.convert import to_rgb
from model.images.errors import (
    BrokenImageError,
    DecoderBusyError,
    DecodeTimeoutError,
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
)
from model.images.heic import heic_formats
from model.images.icc import read_icc_profile
from model.images.orientation import TURNED, apply_orientation
from model.images.signature import file_kind
from model.images.structure import check_structure

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "AVIF")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")

# Images that take more memory than this to decode are decoded one at a time, which bounds the memory of any
# number of threads: that of 32 threads to 192 MB and one large image.
LARGE_BYTES = 6_000_000
MAX_WAITING = 8  # threads that wait to decode a large image
READ_BYTES = 1 << 14  # bytes that a decoder reads between two checks of the deadline
QUICK_PIXELS = 100_000  # a JPEG or PNG of no more is decoded in a few milliseconds, without such checks
# JPEGs are decoded at these fractions; at an eighth, the rounding of whole blocks changes more.
JPEG_FRACTIONS = (4, 2)
UNSUPPORTED = re.compile(r"unsupported|not supported|cannot handle|unknown .*(?:mode|compression)", re.I)

AvifImagePlugin.DEFAULT_MAX_THREADS = 1


@dataclass(frozen=True)
class ImageLimits:
    """pixels: maximum of width times height, checked before decoding.

    side: maximum of width and of height; the default is JPEG's own limit.
    """

    pixels: int = 25_000_000
    side: int = 65_535


@dataclass(frozen=True)
class DecodedImage:
    """pixels: uint8 RGB of shape (H, W, 3), or what `transform` made of them.

    width, height: size of the image in the file, with the Exif orientation applied.
    """

    pixels: np.ndarray
    width: int
    height: int


class _LargeImageLock:
    """A lock with a bounded number of waiting threads. Threads that ignore the bound are not counted."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counter_lock = threading.Lock()
        self._waiting = 0

    @contextmanager
    def acquire(self, deadline: float, ignore_queue_limit: bool) -> Iterator[None]:
        if not (self._lock.acquire(blocking=False) or self._wait(deadline, ignore_queue_limit)):
            raise DecodeTimeoutError("the picture was not decoded in time; the server is busy")
        try:
            yield
        finally:
            self._lock.release()

    def _wait(self, deadline: float, ignore_queue_limit: bool) -> bool:
        with self._counter_lock:
            if self._waiting >= MAX_WAITING and not ignore_queue_limit:
                raise DecoderBusyError("many large pictures wait to be decoded; ask again in a second")
            self._waiting += not ignore_queue_limit
        try:
            timeout = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
            return self._lock.acquire(timeout=timeout)
        finally:
            with self._counter_lock:
                self._waiting -= not ignore_queue_limit


_large_image_lock = _LargeImageLock()


class _DeadlineReader(io.BytesIO):
    """A file in memory that checks the deadline at each read."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1) -> bytes:
        _check_deadline(self._deadline)
        return super().read(size)


class _WebPImageFile(WebPImagePlugin.WebPImageFile):
    """Frees libwebp's two canvases before memory for the image's pixels is allocated."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


def decode(
    data: bytes,
    limits: ImageLimits = ImageLimits(),
    transform: Callable[[Image.Image], np.ndarray] | None = None,
    deadline: float = math.inf,
    ignore_queue_limit: bool = False,
    min_side: int | None = None,
) -> DecodedImage:
    """Decode the first frame of an image file.

    Applies the Exif orientation and the ICC profile, composites transparency over white, and converts
    palette, grayscale, CMYK and 16-bit images to 8-bit sRGB. No damage to metadata makes a file unreadable.

    transform: makes `pixels` of the RGB image. That of a large image runs before the next large image is
        decoded, so that one that makes it smaller also bounds the memory of several threads.
    deadline: a time of time.monotonic().
    ignore_queue_limit: wait for other large images even where MAX_WAITING threads do so already.
    min_side: decode a JPEG at a half or a quarter of its size (libjpeg's scaled inverse DCT), which is much
        faster, where both sides of the result still have this many pixels.

    Raises UnsupportedImageError, BrokenImageError or ImageTooLargeError for the file, and DecodeTimeoutError
    or DecoderBusyError for the load.
    """
    _check_deadline(deadline)
    try:
        structure = check_structure(data, limits.pixels)
        stripped = structure.stripped
        quick = structure.pixels is not None and structure.pixels <= QUICK_PIXELS
        file = io.BytesIO(stripped) if quick else _DeadlineReader(stripped, deadline)
        with Image.open(file, formats=[*FORMATS, *heic_formats(data)]) as image:
            if image.width * image.height > limits.pixels or max(image.size) > limits.side:
                raise ImageTooLargeError(f"{image.width}x{image.height} pixels: {_too_large(limits)}")
            image.decodermaxblock = READ_BYTES
            if isinstance(image, WebPImagePlugin.WebPImageFile):
                image.__class__ = _WebPImageFile
            size = image.size
            _reduce(image, min_side)
            memory = image.width * image.height * structure.bytes_per_pixel + structure.extra_bytes
            large = memory > LARGE_BYTES
            with _large_image_lock.acquire(deadline, ignore_queue_limit) if large else nullcontext():
                if structure.check_data:
                    structure.check_data()
                rgb = to_rgb(apply_orientation(image, structure.orientation), read_icc_profile(data))
                if rgb is not image:
                    image.close()  # frees its memory
                if image.format != "JPEG":
                    size = rgb.size
                elif structure.orientation in TURNED:
                    size = size[1], size[0]
                pixels = (transform or np.asarray)(rgb)
                rgb.close()  # it may be part of a cycle of references
                return DecodedImage(pixels, *size)
    except (ImageError, DecodeTimeoutError, DecoderBusyError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageTooLargeError(_too_large(limits)) from error
    except UnidentifiedImageError as error:
        if data.startswith(MAGIC) or (data.startswith(b"RIFF") and data[8:12] in (b"WEBP", b"")):
            raise BrokenImageError("the picture's header is cut short or damaged") from error
        kind, formats = file_kind(data), ", ".join(FORMATS)
        known = f"this is {kind}; send a picture in" if kind else "this is not a picture in"
        raise UnsupportedImageError(f"{known} one of these formats: {formats}") from error
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error and more
        if UNSUPPORTED.search(str(error)):
            raise UnsupportedImageError(f"the picture is of a kind that is not supported: {error}") from error
        raise BrokenImageError(f"the picture is cut short or damaged: {error}") from error


def _reduce(image: Image.Image, min_side: int | None) -> None:
    """Have a JPEG decoded at the smallest fraction of its size that leaves both sides `min_side` pixels."""
    if image.format == "JPEG" and min_side is not None:
        side = min(image.size)
        fraction = next((fraction for fraction in JPEG_FRACTIONS if side >= fraction * min_side), 1)
        if fraction > 1:
            image.draft(image.mode, (image.width // fraction, image.height // fraction))


def _check_deadline(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise DecodeTimeoutError("the picture was not decoded in time; the server is busy")


def _too_large(limits: ImageLimits) -> str:
    return f"a picture may have {limits.pixels} pixels at most; send a smaller one"
