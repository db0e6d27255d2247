"""Checks of an image file's structure before it is decoded.

A file of 10 MB can cost minutes or gigabytes in a decoder although each of its parts is valid, because it has
very many parts or because they decompress to a lot. Sources: W3C PNG (third edition), RFC 9649 (WebP),
Microsoft's BMP; see also headers.py (JPEG, GIF) and tiff.py (TIFF, Exif).
"""

import re
from dataclasses import dataclass

from model.images.errors import ImageTooLargeError
from model.images.headers import MAX_SCAN_RATIO, declared_pixels, first_frame_offset, read_jpeg
from model.images.tiff import check_tiff, read_tags

MAX_CHUNKS = 20_000  # of a PNG or WebP; with the usual 8 KB in each, 10 MB have 1,280
MAX_RLE_BYTES, MAX_RLE_PIXELS = (
    4 << 20,
    16_000_000,
)  # of a run-length encoded BMP, decoded by Pillow in Python
KEPT_TEXTS = 2  # text chunks of a PNG
TEXT_BYTES = 1 << 20  # maximum to which Pillow decompresses a text chunk

# Peak bytes of memory per pixel while decoding and converting, measured.
_JPEG, _PNG, _GIF, _WEBP, _BMP, _TIFF = 16, 12, 12, 24, 12, 12
_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_ORIENTATION_TEXTS = (b"Raw profile type exif\0", b"XML:com.adobe.xmp\0", b"exif\0")
_is_chunk_type = re.compile(rb"\w\w\w\w").match
# The third and fourth are invalid, but Pillow reads them.
_TIFF_MAGIC = (b"II*\0", b"MM\0*", b"MM*\0", b"II\0*", b"MM\0+", b"II+\0")


@dataclass(frozen=True)
class Structure:
    """stripped: the file without metadata other than its orientation; it decodes to the same pixels.

    bytes_per_pixel, extra_bytes: memory that decoding takes per pixel and in addition.
    """

    stripped: bytes
    bytes_per_pixel: int = 0
    extra_bytes: int = 0


def check_structure(data: bytes, pixels: int) -> Structure:
    """Check that a file takes no more to decode than its image needs.

    pixels: the maximum of an image. Files that are no image or are damaged are left to the decoder. Raises
    ImageTooLargeError, or BrokenImageError where invalid fields make these checks meaningless.
    """
    if data.startswith(b"\xff\xd8\xff"):
        jpeg = read_jpeg(data)
        if jpeg.pixels <= pixels < jpeg.pixels * jpeg.scans / MAX_SCAN_RATIO:
            raise ImageTooLargeError(
                f"{jpeg.scans} scans of {jpeg.pixels} pixels take too long; send it with fewer"
            )
        return Structure(jpeg.stripped, _JPEG)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _check_png(data)
    if data.startswith((b"GIF87a", b"GIF89a")):
        first_frame_offset(data)
        return Structure(data, _GIF)
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return _check_webp(data, pixels)
    if data.startswith(b"BM"):
        _check_bmp(data)
        return Structure(data, _BMP)
    if data.startswith(_TIFF_MAGIC):
        return Structure(data, _TIFF, check_tiff(data, pixels))
    return Structure(data)


def _check_png(data: bytes) -> Structure:
    """Keep the chunks of the pixels and of the orientation. Of an APNG, the first frame is kept."""
    kept, at, exif, texts, extra_bytes = [data[:8]], 8, 0, 0, 0
    for _ in range(MAX_CHUNKS):
        name, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if not _is_chunk_type(name) or end > len(data):
            return Structure(b"".join([*kept, data[at:end]]), _PNG, extra_bytes)
        keep = name in _PIXEL_CHUNKS and (length > 0 or name != b"IDAT")
        if name == b"eXIf" and not exif:
            read_tags(data[at + 8 : end - 4])
            keep, exif = True, exif + 1
            extra_bytes += 4 * length
        elif name in _TEXT_CHUNKS and data.startswith(_ORIENTATION_TEXTS, at + 8) and texts < KEPT_TEXTS:
            keep, texts = True, texts + 1
            extra_bytes += 6 * (length + TEXT_BYTES)
        if keep:
            kept.append(data[at:end])
        if name == b"IEND":
            return Structure(b"".join(kept), _PNG, extra_bytes)
        at = end
    raise ImageTooLargeError(f"a PNG may have {MAX_CHUNKS} chunks at most")


def _check_webp(data: bytes, pixels: int) -> Structure:
    if declared_pixels(data[:64]) > pixels:  # libwebp allocates the canvas when it opens the file
        raise ImageTooLargeError(f"a picture may have {pixels} pixels at most; send a smaller one")
    at, extra_bytes = 12, 0
    for _ in range(MAX_CHUNKS):
        if at + 8 > len(data):
            return Structure(data, _WEBP, extra_bytes)
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] == b"EXIF":
            content = data[at + 8 : at + 8 + length]
            read_tags(content)
            extra_bytes += 4 * len(content)
        at += 8 + length + (length & 1)
    raise ImageTooLargeError(f"a WebP may have {MAX_CHUNKS} chunks at most")


def _check_bmp(data: bytes) -> None:
    run_length = data[14:18] != b"\x0c\0\0\0" and data[30:34] in (b"\1\0\0\0", b"\2\0\0\0")
    if run_length and (len(data) > MAX_RLE_BYTES or declared_pixels(data[:64]) > MAX_RLE_PIXELS):
        raise ImageTooLargeError(
            f"a run-length encoded BMP may have {MAX_RLE_BYTES} bytes and {MAX_RLE_PIXELS} pixels; "
            "send it as PNG"
        )
