"""The segments of a JPEG, read with limits and without Pillow before the picture is decoded: ITU-T T.81."""

import hashlib
import io
import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

from PIL import Image

from model.images.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError

MAX_SEGMENTS = 4096  # an ICC profile takes up to 255 of them, extended XMP a few dozen
MAX_SCANS = 64  # encoders write about 10
MAX_SCAN_RATIO = 40  # pixels of all scans, by the maximum of pixels of an image
END = b"\xff\xd9"

_MARKER = re.compile(rb"\xff+[^\x00\xff]", re.DOTALL)
# Markers below C0 are reserved; decoders skip them, also within a scan.
_SCAN_END = re.compile(rb"\xff[^\x00-\xbf\xd0-\xd7\xff]", re.DOTALL)
_WITHOUT_LENGTH = {*range(0x01, 0xC0), 0xC8, *range(0xD0, 0xD9), *range(0xF0, 0xFE)}
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
_DECODED_PROCESSES = {0, 1, 2, 3, 9, 10}  # the others are hierarchical, or lossless with arithmetic coding
_LOSSLESS = b"\xc3"
_SCAN, _END, _JFIF, _APP1, _ADOBE, _COMMENT = 0xDA, 0xD9, 0xE0, 0xE1, 0xEE, 0xFE
_EXIF, _XMP = b"Exif\0\0", b"http://ns.adobe.com/xap/1.0/\0"
_ALL_COEFFICIENTS = (1 << 64) - 1
# Bits for a decoder to read ahead, so that it completes the last block, and few blocks more.
_FILLERS = (bytes(16), b"\x55" * 16, b"\xaa" * 16)


@dataclass(frozen=True)
class Jpeg:
    """stripped: the file without metadata, which decodes to the same pixels; with an end marker in any case.

    frame: its first frame header, with the marker, or empty. scans: its scan headers, without marker and
    length. ended: whether the file itself has the end marker. exif, xmp: the first segment of each without
    its identifier, or empty.
    """

    stripped: bytes
    frame: bytes
    scans: list[bytes]
    ended: bool
    exif: bytes
    xmp: bytes

    @property
    def pixels(self) -> int:
        """Width times height, 0 if there is no frame header."""
        return int.from_bytes(self.frame[5:7]) * int.from_bytes(self.frame[7:9])


def read_jpeg(data: bytes) -> Jpeg:
    """Parse all segments of a JPEG's first image. Raises ImageTooLargeError or UnsupportedImageError.

    Pillow parses metadata when it opens a file, in time quadratic in the number of its segments: none is left
    for it.
    """
    kept, frame, scans = [data[:2]], b"", []
    metadata = {_EXIF: b"", _XMP: b""}
    marker = 0
    for number, (marker, start, end) in enumerate(segments(data)):
        if number >= MAX_SEGMENTS:
            raise ImageTooLargeError(f"a JPEG may have {MAX_SEGMENTS} segments at most")
        if marker in _FRAMES and not frame:
            frame = data[start:end]
        elif marker == _SCAN:
            scans.append(data[start + 4 : start + 2 + int.from_bytes(data[start + 2 : start + 4])])
        for identifier in metadata if marker == _APP1 else ():
            if not metadata[identifier] and data.startswith(identifier, start + 4):
                metadata[identifier] = data[start + 4 + len(identifier) : end]
        if marker in (_JFIF, _ADOBE) or not (0xE0 <= marker <= 0xEF or marker == _COMMENT):
            kept.append(data[start:end])
    if len(scans) > MAX_SCANS:
        raise ImageTooLargeError(f"a JPEG may have {MAX_SCANS} scans at most; this one has {len(scans)}")
    _check_frame(frame)
    ended = marker == _END
    if not ended and scans:
        kept.append(END)
    return Jpeg(b"".join(kept), frame, scans, ended, *metadata.values())


def jpeg_size(head: bytes) -> tuple[int, int]:
    """(width, height) in the last frame header before the first scan; zeros if there is none."""
    height = width = 0
    for number, (marker, start, _) in enumerate(segments(head)):
        if marker == _SCAN or number >= MAX_SEGMENTS:
            break
        if marker in _FRAMES:
            height, width = struct.unpack_from(">HH", head, start + 5)
    return width, height


def check_rows(jpeg: Jpeg) -> None:
    """Raise BrokenImageError if a file without an end marker lacks scans, or data at the end of the last.

    Browsers show a file that lacks nothing but the marker. What follows a complete scan changes no pixel;
    where data are missing, the decoder takes the filler for them. This takes as long as decoding the file.
    """
    refined = {jpeg.frame[at]: 0 for at in range(10, len(jpeg.frame) - 2, 3)}  # coefficients, by component
    lossless = jpeg.frame[1:2] == _LOSSLESS
    for scan in jpeg.scans:
        count = scan[0] if scan else 0
        spectrum = scan[1 + 2 * count :]  # first and last coefficient, and bits that another scan refines
        if len(spectrum) == 3 and (lossless or spectrum[2] & 0x0F == 0):
            first, last = (0, 63) if lossless else (min(spectrum[0], 63), min(spectrum[1], 63))
            for component in scan[1 : 1 + 2 * count : 2]:
                refined[component] = refined.get(component, 0) | (2 << last) - (1 << first)
    complete = all(coefficients == _ALL_COEFFICIENTS for coefficients in refined.values())
    data = jpeg.stripped.removesuffix(END).rstrip(b"\xff")  # of half an end marker
    if not complete or len({_luminance(data, filler, jpeg) for filler in _FILLERS}) > 1:
        raise BrokenImageError("the picture is cut short or damaged: rows at its end are missing")


def segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """(marker, start, end) of each segment; that of a scan includes its entropy-coded data."""
    at = 2
    while found_marker := _MARKER.search(data, at):
        start = found_marker.end() - 2
        marker = data[start + 1]
        if marker == _END:  # another image may follow
            yield marker, start, start + 2
            return
        if marker in _WITHOUT_LENGTH:
            at = start + 2
            continue
        if start + 4 > len(data):
            return
        end = start + 2 + int.from_bytes(data[start + 2 : start + 4])
        if marker == _SCAN:
            found = _SCAN_END.search(data, end)
            end = found.start() if found else len(data)
        end = min(max(end, start + 4), len(data))
        yield marker, start, end
        at = end


def _check_frame(frame: bytes) -> None:
    """Raise UnsupportedImageError for a valid frame that the decoder does not decode."""
    if len(frame) < 10:
        return
    process, precision, components = frame[1] - 0xC0, frame[4], frame[9]
    if precision in (12, 16):
        kind = f"of {precision} bits a channel"
    elif process not in _DECODED_PROCESSES:
        kind = f"with the coding process SOF{process}"
    elif precision == 8 and components in (2, 5):
        kind = f"of {components} channels"
    else:
        return
    raise UnsupportedImageError(f"this is a JPEG {kind}; send a picture with three channels of 8 bits")


def _luminance(data: bytes, filler: bytes, jpeg: Jpeg) -> str:
    """A digest of the grey levels of a file without an end marker; rows without data have the filler's.

    With a single scan they are at an eighth of the size. With several, of which the last hold details, the
    decoder gives no row before the end marker.
    """
    single = len(jpeg.scans) == 1
    with Image.open(io.BytesIO(data + filler + (b"" if single else END)), formats=["JPEG"]) as image:
        divisor = 8 if single else 1
        image.draft("L", (max(1, image.width // divisor), max(1, image.height // divisor)))
        image.load_prepare()
        image.im.paste(filler[0], (0, 0, *image.size))
        with suppress(OSError):  # that the file is truncated
            image.load()
        return hashlib.sha256(image.tobytes()).hexdigest()
