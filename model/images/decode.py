"""From the bytes of a picture file to RGB pixels, within limits, or an error that says what is wrong."""

import io
import math
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
from PIL import Image, UnidentifiedImageError, WebPImagePlugin

from model.images.headers import AmplifiedError, DamagedError
from model.images.structure import Structure, examine

FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"RIFF", b"GIF8", b"II*\0", b"MM\0*")


class ImageError(Exception):
    """These bytes give no picture."""


class UnsupportedImageError(ImageError):
    """Not a picture in a format that is read."""


class BrokenImageError(ImageError):
    """A picture of a known format whose data is cut short or damaged."""


class ImageTooLargeError(ImageError):
    """More pixels, or parts that take more to decode, than allowed."""


class DecodeTimeoutError(Exception):
    """The time was up before the picture was decoded; this says nothing of the picture."""


class DecoderBusyError(Exception):
    """Too many large pictures wait to be decoded."""


@dataclass(frozen=True)
class ImageLimits:
    """pixels: the most a picture may have, width times height, told from its header before decoding.

    side: the most pixels of a row or a column; it is JPEG's own limit.
    """

    pixels: int = 25_000_000
    side: int = 65_535


@dataclass(frozen=True)
class Picture:
    """pixels: uint8 RGB of shape (H, W, 3); width, height: the picture's own, as it is shown."""

    pixels: np.ndarray
    width: int
    height: int


# A picture that takes more memory than this while it is decoded waits for the others that do, so that memory
# stays bounded whatever the number of threads: with 32, to 192 MB and one large picture.
LARGE = 6_000_000
WAITING = 8  # threads that wait for their turn at most
STRIP = 1_000_000  # pixels that are converted at once
PIECE = 1 << 14  # bytes of a file that a decoder takes between two looks at the clock


_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class _Turns:
    """One large picture at a time. Only the impatient are counted: of patient callers there are few."""

    def __init__(self) -> None:
        self._turn = threading.Lock()
        self._counting = threading.Lock()
        self._waiting = 0

    @contextmanager
    def one(self, deadline: float, patient: bool) -> Iterator[None]:
        in_time = self._turn.acquire(blocking=False) or self._wait(deadline, patient)
        if not in_time:
            raise DecodeTimeoutError("the picture was not decoded in time; the server is busy")
        try:
            yield
        finally:
            self._turn.release()

    def _wait(self, deadline: float, patient: bool) -> bool:
        with self._counting:
            if self._waiting >= WAITING and not patient:
                raise DecoderBusyError("many large pictures wait to be decoded; ask again in a second")
            self._waiting += not patient
        try:
            left = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
            return self._turn.acquire(timeout=left)
        finally:
            with self._counting:
                self._waiting -= not patient


_large = _Turns()


class _Timed(io.BytesIO):
    """The bytes of a file that cannot be read past a deadline: decoders read in pieces."""

    def __init__(self, data: bytes, deadline: float) -> None:
        super().__init__(data)
        self._deadline = deadline

    def read(self, size: int | None = -1) -> bytes:
        _check_time(self._deadline)
        return super().read(size)


class _Webp(WebPImagePlugin.WebPImageFile):
    """Gives libwebp's two canvases back before memory is taken for the picture's pixels."""

    def load_prepare(self) -> None:
        self._decoder = None
        super().load_prepare()


def decode(
    data: bytes,
    limits: ImageLimits = ImageLimits(),
    shrink: Callable[[np.ndarray], np.ndarray] | None = None,
    deadline: float = math.inf,
    patient: bool = False,
) -> Picture:
    """The first frame of a picture file.

    EXIF rotation is applied; transparency is laid over white; palette, grey, CMYK and 16-bit
    pictures are converted. `shrink` may put smaller pixels in the place of the decoded ones; those
    of a large picture are then gone before the next large one is decoded.

    deadline: by time.monotonic(), after which it is given up. patient: wait for one's turn with a large
    picture however many others wait. Raises UnsupportedImageError, BrokenImageError or ImageTooLargeError,
    and DecodeTimeoutError or DecoderBusyError, which are not the picture's fault.
    """
    _check_time(deadline)
    try:
        structure = _examined(data, limits)
        file = (
            io.BytesIO(structure.essential) if deadline == math.inf else _Timed(structure.essential, deadline)
        )
        with Image.open(file, formats=FORMATS) as image:
            _check(image, limits)
            image.decodermaxblock = PIECE
            if isinstance(image, WebPImagePlugin.WebPImageFile):
                image.__class__ = _Webp
            memory = image.width * image.height * structure.a_pixel + structure.further
            with _large.one(deadline, patient) if memory > LARGE else nullcontext():
                pixels = _rgb(image)
                image.close()  # what was decoded is not needed any more
                height, width = pixels.shape[:2]
                return Picture(shrink(pixels) if shrink else pixels, width, height)
    except (ImageError, DecodeTimeoutError, DecoderBusyError):
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


def _check_time(deadline: float) -> None:
    if time.monotonic() > deadline:
        raise DecodeTimeoutError("the picture was not decoded in time; the server is busy")


def _examined(data: bytes, limits: ImageLimits) -> Structure:
    try:
        return examine(data, limits.pixels)
    except AmplifiedError as error:
        raise ImageTooLargeError(str(error)) from error
    except DamagedError as error:
        raise BrokenImageError(f"the picture is cut short or damaged: {error}") from error


def _check(image: Image.Image, limits: ImageLimits) -> None:
    if image.width * image.height > limits.pixels or max(image.size) > limits.side:
        raise ImageTooLargeError(f"{image.width}x{image.height} pixels: {_too_large(limits)}")


def _too_large(limits: ImageLimits) -> str:
    return f"a picture may have {limits.pixels} pixels at most; send a smaller one"


def _rgb(image: Image.Image) -> np.ndarray:
    """uint8 of shape (H, W, 3). What is large is converted strip by strip: a copy of it is not small
    either."""
    image = _upright(image)
    full = _full_scale(image)
    rows = max(1, STRIP // image.width)
    if image.height <= rows:
        return np.asarray(_converted(image, full))
    pixels = np.empty((image.height, image.width, 3), np.uint8)
    for top in range(0, image.height, rows):
        bottom = min(top + rows, image.height)
        strip = image.crop((0, top, image.width, bottom))
        pixels[top:bottom] = np.asarray(_converted(strip, full))
    return pixels


def _upright(image: Image.Image) -> Image.Image:
    """As `ImageOps.exif_transpose` turns it, which also writes all of the Exif anew."""
    image.load()
    method = _TURNS.get(image.getexif().get(0x0112, 1))
    if method is None:
        return image
    turned = image.transpose(method)
    image.close()
    return turned


def _full_scale(image: Image.Image) -> float | None:
    """The value of white in a picture of one channel with more than 8 bits; None for the others."""
    if image.mode.startswith("I;16"):
        return 65535.0
    if image.mode not in ("I", "F"):
        return None
    # 32-bit greys carry no range of their own: it is 0 to 1, or that of 8 or of 16 bits, or their own.
    rows = max(1, STRIP // image.width)
    tops = [
        float(np.max(np.asarray(image.crop((0, top, image.width, min(top + rows, image.height))))))
        for top in range(0, image.height, rows)
    ]
    top = max(tops)
    if not np.isfinite(tops).all():
        raise BrokenImageError("the picture has values that are not numbers")
    return next((full for full in (1.0, 255.0, 65535.0) if top <= full), top)


def _converted(image: Image.Image, full: float | None) -> Image.Image:
    if full is not None:
        return _grey(image, full)
    if image.has_transparency_data:
        picture = image.convert("RGBA")
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture.getchannel("A"))
        return white
    return image if image.mode == "RGB" else image.convert("RGB")


def _grey(image: Image.Image, full: float) -> Image.Image:
    """One channel, `full` its white, as RGB. In place: these pictures may be large."""
    values = np.asarray(image) * np.float32(255 / full)
    np.rint(values, out=values)
    np.clip(values, 0, 255, out=values)
    return Image.fromarray(values.astype(np.uint8)).convert("RGB")
