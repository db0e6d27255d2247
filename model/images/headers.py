"""Headers of image files, parsed with limits and without Pillow before the image is decoded.

Formats: W3C PNG, GIF89a, Microsoft's BMP, RFC 9649 (WebP); see jpeg.py for JPEG.
"""

import struct

from model.images.errors import ImageTooLargeError
from model.images.jpeg import jpeg_size

MAX_BLOCKS = 20_000  # of a GIF before its first frame; XMP has one for about 80 bytes
MAX_JUNK_BYTES = 1024  # between the blocks


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
            width, height = jpeg_size(head)
        else:
            return 0
    except (struct.error, ImageTooLargeError):
        return 0
    return int(width * height)


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
