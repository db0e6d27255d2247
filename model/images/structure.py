"""What a picture file is made of, looked at before a decoder gets it, which would do all it says.

A file of 10 MB may else cost minutes or gigabytes: each of its parts is sound, but they are many, or unpack
to a lot. Sources: W3C PNG (third edition), RFC 9649 (WebP), Microsoft's BMP; see also headers.py (JPEG, GIF)
and tags.py (TIFF, Exif).
"""

import re
from dataclasses import dataclass

from model.images.headers import AmplifiedError, declared_pixels, first_frame, read_jpeg
from model.images.tags import check_tiff, read_tags

CHUNKS = 20_000  # of a PNG or WebP; 8 KB of data each is usual, so that 10 MB have 1,280
RUN_BYTES, RUN_PIXELS = 4 << 20, 16_000_000  # of a run-length encoded BMP; Pillow decodes it in Python
SCANNED = 40  # a JPEG's scans may go through this many times the pixels that a picture may have
TEXTS = 2  # of a PNG that are kept
TEXT_BYTES = 1 << 20  # to which Pillow unpacks a text

# Bytes of memory that a pixel takes while it is decoded and converted, by measurement.
_JPEG, _PNG, _GIF, _WEBP, _BMP, _TIFF = 16, 12, 12, 24, 12, 12
_PIXELS_OF_PNG = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
_ORIENTATION = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0", b"exif\0")
_is_name = re.compile(rb"\w\w\w\w").match
_TIFF_MAGIC = (
    b"II*\0",
    b"MM\0*",
    b"MM*\0",
    b"II\0*",
    b"MM\0+",
    b"II+\0",
)  # the third and fourth: Pillow reads them


@dataclass(frozen=True)
class Structure:
    """What there is to decode.

    essential: the file with no more metadata than tells its orientation; it decodes to the same pixels.
    a_pixel, further: bytes of memory that decoding takes for each pixel, and apart from those.
    """

    essential: bytes
    a_pixel: int = 0
    further: int = 0


def examine(data: bytes, pixels: int) -> Structure:
    """Refuse what is made of far more than its picture needs.

    pixels: the most that a picture may have. What is no picture, or a damaged one, is left for the decoder to
    tell. Raises AmplifiedError; or DamagedError, where what is wrong would make these checks pointless.
    """
    if data.startswith(b"\xff\xd8\xff"):
        jpeg = read_jpeg(data)
        if jpeg.pixels <= pixels < jpeg.pixels * jpeg.scans / SCANNED:
            raise AmplifiedError(
                f"{jpeg.scans} scans of {jpeg.pixels} pixels take too long; send it with fewer"
            )
        return Structure(jpeg.essential, _JPEG)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _examine_png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        first_frame(data)
        return Structure(data, _GIF)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _examine_webp(data, pixels)
    if data.startswith(b"BM"):
        _check_bmp(data)
        return Structure(data, _BMP)
    if data.startswith(_TIFF_MAGIC):
        return Structure(data, _TIFF, check_tiff(data, pixels))
    return Structure(data)


def _examine_png(data: bytes) -> Structure:
    """Without what is neither its pixels nor tells its orientation. Of an animation the first frame stays."""
    kept, at, exif, texts, further = [data[:8]], 8, 0, 0, 0
    for _ in range(CHUNKS):
        name, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if not _is_name(name) or end > len(data):
            return Structure(b"".join([*kept, data[at:end]]), _PNG, further)
        keep = name in _PIXELS_OF_PNG and (length > 0 or name != b"IDAT")
        if name == b"eXIf" and not exif:
            read_tags(data[at + 8 : end - 4])
            keep, exif = True, exif + 1
            further += 4 * length
        elif name in _TEXTS and data.startswith(_ORIENTATION, at + 8) and texts < TEXTS:
            keep, texts = True, texts + 1
            further += 6 * (length + TEXT_BYTES)
        if keep:
            kept.append(data[at:end])
        if name == b"IEND":
            return Structure(b"".join(kept), _PNG, further)
        at = end
    raise AmplifiedError(f"a PNG may have {CHUNKS} chunks at most")


def _examine_webp(data: bytes, pixels: int) -> Structure:
    if declared_pixels(data[:64]) > pixels:  # libwebp takes memory for them when it opens the file
        raise AmplifiedError(f"a picture may have {pixels} pixels at most; send a smaller one")
    at, further = 12, 0
    for _ in range(CHUNKS):
        if at + 8 > len(data):
            return Structure(data, _WEBP, further)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            content = data[at + 8 : at + 8 + length]
            read_tags(content)
            further += 4 * len(content)
        at += 8 + length + (length & 1)
    raise AmplifiedError(f"a WebP may have {CHUNKS} chunks at most")


def _check_bmp(data: bytes) -> None:
    run_length = data[14:18] != b"\x0c\0\0\0" and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if run_length and (len(data) > RUN_BYTES or declared_pixels(data[:64]) > RUN_PIXELS):
        raise AmplifiedError(
            f"a run-length encoded BMP may have {RUN_BYTES} bytes and {RUN_PIXELS} pixels; send it as PNG"
        )
