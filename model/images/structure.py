"""Checks of an image file's structure before it is decoded.

A file of 10 MB can cost minutes or gigabytes in a decoder although each of its parts is valid, because it has
very many parts or because they decompress to a lot. Sources: RFC 9649 (WebP), Microsoft's BMP; see also
headers.py (GIF), jpeg.py, png.py, tiff.py and avif.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from model.images.avif import check_avif, is_avif
from model.images.errors import ImageTooLargeError
from model.images.headers import declared_pixels, first_frame_offset
from model.images.jpeg import MAX_SCAN_RATIO, check_rows, read_jpeg
from model.images.orientation import NORMAL, read_orientation
from model.images.png import MAX_CHUNKS, read_png
from model.images.tiff import check_tiff

# Of a run-length encoded BMP, which Pillow decodes in Python.
MAX_RLE_BYTES, MAX_RLE_PIXELS = 4 << 20, 16_000_000

# Peak bytes of memory per pixel while decoding and converting, measured; RGB without transparency needs no
# conversion.
_RGB, _OTHER, _WEBP, _AVIF = 5, 12, 14, 14
_COEFFICIENTS = 6  # of a JPEG of several scans, which are all kept
_PNG_RGB = 2  # colour type
# The third and fourth are invalid, but Pillow reads them.
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")


@dataclass(frozen=True)
class Structure:
    """stripped: the file without metadata, which could be damaged; it decodes to the same pixels.

    pixels: width times height of a JPEG or PNG, None for other formats.
    bytes_per_pixel: memory that decoding takes per pixel of the result, and extra_bytes in addition.
    orientation: of Exif, 1 to 8; None where the decoder of the format sees to it.
    check_data: None, or a check that takes as long as decoding. Raises ImageError.
    """

    stripped: bytes
    bytes_per_pixel: int = 0
    extra_bytes: int = 0
    orientation: int | None = None
    pixels: int | None = None
    check_data: Callable[[], None] | None = None


def check_structure(data: bytes, pixels: int) -> Structure:
    """Check that a file takes no more to decode than its image needs.

    pixels: the maximum of an image. Files that are no image or are damaged are left to the decoder. Raises
    ImageTooLargeError, UnsupportedImageError, or BrokenImageError where invalid fields make these checks
    meaningless.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _check_jpeg(data, pixels)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        png = read_png(data)
        memory = _RGB if data[25:26] == bytes([_PNG_RGB]) else _OTHER
        area = int.from_bytes(data[16:20]) * int.from_bytes(data[20:24])
        return Structure(png.stripped, memory, 0, read_orientation(png.exif, png.xmp), area)
    if data.startswith((b"GIF87a", b"GIF89a")):
        first_frame_offset(data)
        return Structure(data, _OTHER, orientation=NORMAL)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _check_webp(data, pixels)
    if data.startswith(b"BM"):
        _check_bmp(data)
        return Structure(data, _OTHER, orientation=NORMAL)
    if data.startswith(_TIFF_MAGIC):
        return Structure(data, _OTHER, check_tiff(data, pixels), NORMAL)  # Pillow turns it
    if is_avif(data):
        return Structure(check_avif(data, pixels), _AVIF)
    return Structure(data, _AVIF if data[4:8] == b"ftyp" else 0, orientation=NORMAL)


def _check_jpeg(data: bytes, pixels: int) -> Structure:
    jpeg = read_jpeg(data)
    scans = len(jpeg.scans)
    if jpeg.pixels <= pixels < jpeg.pixels * scans / MAX_SCAN_RATIO:
        raise ImageTooLargeError(f"{scans} scans of {jpeg.pixels} pixels take too long; send it with fewer")
    return Structure(
        jpeg.stripped,
        _RGB if jpeg.frame[9:10] == bytes([3]) else _OTHER,
        _COEFFICIENTS * jpeg.pixels if scans > 1 else 0,
        read_orientation(jpeg.exif, jpeg.xmp),
        jpeg.pixels,
        None if jpeg.ended else partial(check_rows, jpeg),
    )


def _check_webp(data: bytes, pixels: int) -> Structure:
    if declared_pixels(data[:64]) > pixels:  # libwebp allocates the canvas when it opens the file
        raise ImageTooLargeError(f"a picture may have {pixels} pixels at most; send a smaller one")
    metadata: dict[bytes, bytes] = {}
    at = 12
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            orientation = read_orientation(metadata.get(b"EXIF", b""), metadata.get(b"XMP ", b""))
            return Structure(data, _WEBP, sum(map(len, metadata.values())), orientation)
        kind, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if kind in (b"EXIF", b"XMP ", b"ICCP"):
            metadata.setdefault(kind, data[at + 8 : at + 8 + length])
        at += 8 + length + (length & 1)
    raise ImageTooLargeError(f"a WebP may have {MAX_CHUNKS} chunks at most")


def _check_bmp(data: bytes) -> None:
    run_length = data[14:18] != b"\x0c\0\0\0" and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if run_length and (len(data) > MAX_RLE_BYTES or declared_pixels(data[:64]) > MAX_RLE_PIXELS):
        raise ImageTooLargeError(
            f"a run-length encoded BMP may have {MAX_RLE_BYTES} bytes and {MAX_RLE_PIXELS} pixels; "
            "send it as PNG"
        )
