"""Headers of image files, parsed with limits and without Pillow before the image is decoded.

Formats: ITU-T T.81 (JPEG), W3C PNG, GIF89a, Microsoft's BMP, RFC 9649 (WebP), TIFF 6.0.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from model.images.errors import ImageTooLargeError

MAX_SEGMENTS = 4096  # of a JPEG; an ICC profile takes up to 255 of them, extended XMP a few dozen
MAX_SCANS = 64  # of a JPEG; encoders write about 10
MAX_SCAN_RATIO = 40  # pixels of all scans of a JPEG, by the maximum of pixels of an image
MAX_BLOCKS = 20_000  # of a GIF before its first frame; XMP has one for about 80 bytes
MAX_JUNK_BYTES = 1024  # between the blocks
KEPT_APP1 = 2  # APP1 segments of a JPEG: one of Exif, one of XMP

_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
# Markers below C0 are reserved; decoders skip them, also within a scan.
_SCAN_END = re.compile(rb"\xff[^\x00-\xbf\xd0-\xd7\xff]", re.DOTALL)
_WITHOUT_LENGTH = {*range(0x01, 0xC0), 0xC8, *range(0xD0, 0xD9), *range(0xF0, 0xFE)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JFIF, _APP1, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE


@dataclass(frozen=True)
class Jpeg:
    """stripped: the file without metadata other than its orientation; it decodes to the same pixels.

    pixels: width times height, 0 if there is no frame header. scans: number of scans.
    """

    stripped: bytes
    pixels: int
    scans: int


def read_jpeg(data: bytes) -> Jpeg:
    """Parse all segments of a JPEG's first image. Raises ImageTooLargeError.

    Pillow parses metadata when it opens a file, and takes time quadratic in the number of its segments.
    """
    kept = [data[:2]]
    pixels = scans = app1 = 0
    for number, (marker, start, end) in enumerate(_segments(data)):
        if number >= MAX_SEGMENTS:
            raise ImageTooLargeError(f"a JPEG may have {MAX_SEGMENTS} segments at most")
        if marker in _FRAMES and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            pixels = pixels or width * height
        elif marker == 0xDA:
            scans += 1
        app1 += marker == _APP1
        optional = 0xE0 <= marker <= 0xEF or marker == _COMMENT
        if not optional or marker in (_JFIF, _ADOBE) or (marker == _APP1 and app1 <= KEPT_APP1):
            kept.append(data[start:end])
    if scans > MAX_SCANS:
        raise ImageTooLargeError(f"a JPEG may have {MAX_SCANS} scans at most; this one has {scans}")
    return Jpeg(b"".join(kept), pixels, scans)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment; that of a scan includes its entropy-coded data."""
    at = 2
    while found_marker := _MARKER.search(data, at):
        start = found_marker.end() - 2
        marker = data[start + 1]
        if marker == 0xD9:  # end of image; another one may follow
            yield marker, start, start + 2
            return
        if marker in _WITHOUT_LENGTH:
            at = start + 2
            continue
        if start + 4 > len(data):
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == 0xDA:
            found = _SCAN_END.search(data, end)
            end = found.start() if found else len(data)
        end = min(max(end, start + 4), len(data))
        yield marker, start, end
        at = end


def first_frame_offset(data: bytes) -> int:
    """Offset of a GIF's first image descriptor, or of its end. Raises ImageTooLargeError.

    Bytes that belong to no block are skipped, as Pillow does.
    """
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    blocks = junk = 0
    while at < len(data) and data[at] not in b",;":
        if data[at] == 0x21:  # an extension
            at += 2
            blocks += 1
            while at < len(data) and data[at] and blocks <= MAX_BLOCKS:
                at += 1 + data[at]
                blocks += 1
        else:
            junk += 1
        at += 1
        if blocks > MAX_BLOCKS or junk > MAX_JUNK_BYTES:
            raise ImageTooLargeError(f"a GIF may have {MAX_BLOCKS} blocks before its picture at most")
    return at


def declared_pixels(head: bytes) -> int:
    """Width times height by a file's first 64 KiB; 0 if these do not contain them.

    For PNG, JPEG, GIF, BMP and WebP; a TIFF may have them at any offset.
    """
    try:
        if head.startswith(b"\x89PNG"):
            width, height = struct.unpack_from(">LL", head, 16)
        elif head.startswith(b"GIF8"):
            width, height = _gif_size(head)
        elif head.startswith(b"BM"):
            width, height = _bmp_size(head)
        elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            width, height = _webp_size(head)
        elif head.startswith(b"\xff\xd8"):
            width, height = _jpeg_size(head)
        else:
            return 0
    except (struct.error, ImageTooLargeError):
        return 0
    return int(width * height)


def _jpeg_size(head: bytes) -> tuple[int, int]:
    """Size in the last frame header before the first scan."""
    height = width = 0
    for number, (marker, start, _) in enumerate(_segments(head)):
        if marker == 0xDA or number >= MAX_SEGMENTS:
            break
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", head, start + 5)
    return width, height


def _gif_size(head: bytes) -> tuple[int, int]:
    """Size of the logical screen, enlarged to contain the first frame."""
    width, height = struct.unpack_from("<HH", head, 6)
    at = first_frame_offset(head)
    if head[at : at + 1] == b"," and at + 9 <= len(head):
        x, y, across, down = struct.unpack_from("<HHHH", head, at + 1)
        width, height = max(width, x + across), max(height, y + down)
    return width, height


def _bmp_size(head: bytes) -> tuple[int, int]:
    if head[14:18] == b"\x0c\0\0\0":
        width, height = struct.unpack_from("<HH", head, 18)
    else:
        width, height = struct.unpack_from("<LL", head, 18)
        if height >> 24 == 0xFF:  # negative: rows are stored top-down
            height = (1 << 32) - height
    return width, height


def _webp_size(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind != b"VP8 ":
        return 0, 0
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF
