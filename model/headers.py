"""What a picture file says of itself before it is decoded, read within limits and without Pillow.

Formats: ITU-T T.81 (JPEG), W3C PNG, GIF89a, Microsoft's BMP, RFC 9649 (WebP), TIFF 6.0.
"""

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

SEGMENTS = 4096  # of a JPEG; an ICC profile takes up to 255 of them, extended XMP a few dozen
SCANS = 64  # of a JPEG; encoders write 10 or so
CHUNKS = 20_000  # of a PNG; 8 KB of data each is usual, so that 10 MB have 1,280
BLOCKS = 4096  # of a GIF before its first frame
METADATA = 2  # APP1 segments of a JPEG that are kept: one of Exif, one of XMP

_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
_SCAN_END = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_JFIF, _METADATA, _ADOBE, _COMMENT = 0xE0, 0xE1, 0xEE, 0xFE


class AmplifiedError(ValueError):
    """The file would cost far more time or memory than its size and its picture's explain."""


@dataclass(frozen=True)
class Jpeg:
    """A JPEG as its segments tell it.

    essential: the file with no more metadata than tells its orientation; it decodes to the same pixels.
    pixels: width times height, 0 where no frame header was found. scans: how often its pixels are gone
    through.
    """

    essential: bytes
    pixels: int
    scans: int


def read_jpeg(data: bytes) -> Jpeg:
    """Walk through all segments of a JPEG's first picture. Raises AmplifiedError.

    Pillow joins the metadata of many segments in time that grows with the square of their number, and parses
    it when it opens the file: neither is needed for the pixels.
    """
    kept = [data[:2]]
    pixels = scans = metadata = 0
    for number, (marker, start, end) in enumerate(_segments(data)):
        if number >= SEGMENTS:
            raise AmplifiedError(f"a JPEG may have {SEGMENTS} segments at most")
        if marker in _FRAMES and end - start >= 9:
            height, width = struct.unpack_from(">HH", data, start + 5)
            pixels = pixels or width * height
        elif marker == 0xDA:
            scans += 1
        metadata += marker == _METADATA
        optional = 0xE0 <= marker <= 0xEF or marker == _COMMENT
        if not optional or marker in (_JFIF, _ADOBE) or (marker == _METADATA and metadata <= METADATA):
            kept.append(data[start:end])
    if scans > SCANS:
        raise AmplifiedError(f"a JPEG may have {SCANS} scans at most; this one has {scans}")
    return Jpeg(b"".join(kept), pixels, scans)


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment; a scan's coded data belongs to it."""
    at = 2
    while found_marker := _MARKER.search(data, at):
        start = found_marker.end() - 2
        marker = data[start + 1]
        if marker == 0xD9:  # the end; what follows is another picture
            yield marker, start, start + 2
            return
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # without a length
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


def check(data: bytes) -> None:
    """Refuse what is made of far more parts than a picture needs. Raises AmplifiedError.

    For JPEG see `read_jpeg`. A damaged structure is left for the decoder to tell.
    """
    if data.startswith(b"\x89PNG"):
        at = 8
        for _ in range(CHUNKS):
            if at + 8 > len(data) or data[at + 4 : at + 8] == b"IEND":
                return
            at += 12 + int.from_bytes(data[at : at + 4])
        raise AmplifiedError(f"a PNG may have {CHUNKS} chunks at most")
    if data.startswith(b"GIF8"):
        _check_gif(data)


def _check_gif(data: bytes) -> None:
    at = 13 + (3 << (data[10] & 7) + 1 if len(data) > 10 and data[10] & 0x80 else 0)
    blocks = 0
    while at < len(data) and data[at] == 0x21:  # an extension
        at += 2
        while at < len(data) and data[at]:
            at += 1 + data[at]
            blocks += 1
            if blocks > BLOCKS:
                raise AmplifiedError(f"a GIF may have {BLOCKS} blocks before its picture at most")
        at += 1


def declared_pixels(head: bytes) -> int:
    """Width times height by a file's first bytes, 64 KiB or all of it; 0 where they do not tell."""
    try:
        if head.startswith(b"\x89PNG"):
            width, height = struct.unpack_from(">LL", head, 16)
        elif head.startswith(b"GIF8"):
            width, height = struct.unpack_from("<HH", head, 6)
        elif head.startswith(b"BM"):
            core = int.from_bytes(head[14:18], "little") == 12
            width, height = struct.unpack_from("<HH" if core else "<ll", head, 18)
        elif head.startswith(b"RIFF") and head[8:12] == b"WEBP":
            width, height = _webp_size(head)
        elif head.startswith(b"\xff\xd8"):
            return next(
                (_frame_pixels(head, start) for marker, start, _ in _segments(head) if marker in _FRAMES), 0
            )
        else:
            return 0
    except struct.error:
        return 0
    return abs(width * height)


def _frame_pixels(data: bytes, start: int) -> int:
    height, width = struct.unpack_from(">HH", data, start + 5)
    return int(height * width)


def _webp_size(head: bytes) -> tuple[int, int]:
    kind = head[12:16]
    if kind == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if kind == b"VP8L":
        bits = int.from_bytes(head[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", head, 26)
    return width & 0x3FFF, height & 0x3FFF
