"""Checks of an AVIF file before it is decoded, and removal of its metadata.

libavif compares an image's declared size with its AV1 streams only after these are decoded, and their frames
may be far larger. Sources: ISO/IEC 14496-12 (boxes, items), AVIF 1.1, AV1 Bitstream & Decoding Process.
"""

from collections.abc import Iterator
from typing import NamedTuple

from model.images.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError

MAX_BOXES = 20_000  # of a file; an image has about 20, and 3 for each tile
MAX_EXTENTS = 20_000  # of all items
MAX_REREAD = 4  # bytes of all items, by those of the file; tiles that look the same may share them
MAX_UNITS = 20_000  # of an AV1 stream; a still picture has about 3
# Encoders give a side the fewest bits that hold it; the longest that these hold is less than twice as long.
MAX_BITS_RATIO = 4

_SEQUENCE_HEADER = 1  # type of an open bitstream unit (OBU)
_METADATA = (b"Exif", b"mime")


class _Box(NamedTuple):
    kind: bytes
    start: int  # of its content in the file
    end: int


def is_avif(data: bytes) -> bool:
    """Whether the file names AVIF among its brands."""
    return data[4:8] == b"ftyp" and not {b"avif", b"avis"}.isdisjoint(_brands(data))


def _brands(data: bytes) -> list[bytes]:
    end = min(int.from_bytes(data[:4]), len(data), 1024)
    return [data[8:12], *(data[at : at + 4] for at in range(16, end, 4))]


def check_avif(data: bytes, pixels: int) -> bytes:
    """The file with its Exif and XMP items disabled; the picture is the same, its rotation included.

    pixels: the maximum of an image and of each of its streams. Raises ImageTooLargeError, BrokenImageError,
    or UnsupportedImageError for an animation.
    """
    if b"avis" in _brands(data):
        raise UnsupportedImageError("this is an animated AVIF; send one of its frames as a picture")
    try:
        reader = _Reader(data)
        kinds = reader.item_kinds()
        read = 0
        for item, extents in reader.item_extents():
            if item in kinds and kinds[item][0] == b"av01":
                read += sum(min(length, len(data)) for _, length in extents)
                if read > MAX_REREAD * len(data):
                    raise ImageTooLargeError(f"its items have {read} bytes together, many more than the file")
                _check_stream(b"".join(data[start : start + length] for start, length in extents), pixels)
    except IndexError as error:
        raise BrokenImageError("the picture is cut short or damaged: its boxes are incomplete") from error
    stripped = bytearray(data)
    for kind, at in kinds.values():
        if kind in _METADATA:
            stripped[at : at + 4] = b"free"
    return bytes(stripped)


class _Reader:
    """Reads the items of a file. Raises IndexError past its end, and ImageTooLargeError over a limit."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._boxes = 0
        children: dict[bytes, _Box] = {}
        for box in self._children(0, len(data)):
            if box.kind == b"meta" and not children:
                children = {child.kind: child for child in self._children(box.start + 4, box.end)}
        self._meta = children

    def item_kinds(self) -> dict[int, tuple[bytes, int]]:
        """(kind, offset of that kind in the file) by the number of each item."""
        if b"iinf" not in self._meta:
            return {}
        box = self._meta[b"iinf"]
        kinds = {}
        for entry in self._children(box.start + (8 if self._integer(box.start, 1) else 6), box.end):
            version = self._integer(entry.start, 1)
            if entry.kind == b"infe" and version >= 2:
                size = 2 if version == 2 else 4
                at = entry.start + 4 + size + 2
                kinds[self._integer(entry.start + 4, size)] = (self._data[at : at + 4], at)
        return kinds

    def item_extents(self) -> Iterator[tuple[int, list[tuple[int, int]]]]:
        """Of each item: its number, and (offset in the file, length) of its parts."""
        if b"iloc" not in self._meta:
            return
        at = self._meta[b"iloc"].start
        version, sizes = self._integer(at, 1), self._integer(at + 4, 2)
        offset_size, length_size, base_size, index_size = (sizes >> shift & 15 for shift in (12, 8, 4, 0))
        wide = 4 if version == 2 else 2
        at += 6
        items, at = self._integer(at, wide), at + wide
        extents_of_all = 0
        for _ in range(items):
            item, at = self._integer(at, wide), at + wide
            method = 0
            if version > 0:
                method, at = self._integer(at, 2) & 15, at + 2
            base, at = self._integer(at + 2, base_size), at + 2 + base_size
            count, at = self._integer(at, 2), at + 2
            extents_of_all += 1 + count
            if extents_of_all > MAX_EXTENTS:
                raise ImageTooLargeError(f"an AVIF may have {MAX_EXTENTS} parts at most")
            start = base + (self._meta[b"idat"].start if method == 1 and b"idat" in self._meta else 0)
            extents = []
            for _ in range(count):
                at += index_size if version > 0 else 0
                offset, at = self._integer(at, offset_size), at + offset_size
                length, at = self._integer(at, length_size), at + length_size
                extents.append((start + offset, length or len(self._data)))  # 0: to the end
            yield item, extents

    def _children(self, at: int, end: int) -> Iterator[_Box]:
        while at + 8 <= end:
            self._boxes += 1
            if self._boxes > MAX_BOXES:
                raise ImageTooLargeError(f"an AVIF may have {MAX_BOXES} boxes at most")
            size, start = self._integer(at, 4), at + 8
            if size == 1:
                size, start = self._integer(at + 8, 8), at + 16
            stop = min(at + size, end) if size else end
            yield _Box(self._data[at + 4 : at + 8], start, stop)
            at = max(stop, start)

    def _integer(self, at: int, size: int) -> int:
        if at + size > len(self._data):
            raise IndexError
        return int.from_bytes(self._data[at : at + size])


def _check_stream(stream: bytes, pixels: int) -> None:
    """Raise ImageTooLargeError if a frame of an AV1 stream may have more pixels than allowed."""
    at = 0
    for _ in range(MAX_UNITS):
        if at >= len(stream):
            return
        header = stream[at]
        kind, extended, sized = header >> 3 & 15, header >> 2 & 1, header >> 1 & 1
        at += 1 + extended
        size = len(stream) - at
        if sized:  # little-endian base 128: section 4.10.5
            size, shift, byte = 0, 0, 0x80
            while byte & 0x80 and shift < 56:
                byte, at = stream[at], at + 1
                size |= (byte & 0x7F) << shift
                shift += 7
        if kind == _SEQUENCE_HEADER:
            width, height, width_bits, height_bits = _frame_size(stream[at : at + min(size, 256)])
            if width * height > pixels or (1 << width_bits + height_bits) > MAX_BITS_RATIO * pixels:
                raise ImageTooLargeError(f"a frame of {width}x{height} pixels; {pixels} are allowed")
        at += size
    raise ImageTooLargeError(f"an AV1 stream may have {MAX_UNITS} units at most")


def _frame_size(header: bytes) -> tuple[int, int, int, int]:
    """Largest width and height of a frame, and bits that frames have to give their own: section 5.5.1."""
    bits = _Bits(header)
    bits.read(3 + 1)  # seq_profile, still_picture
    if bits.read(1):  # reduced_still_picture_header
        bits.read(5)
    else:
        decoder_model = delay_bits = 0
        if bits.read(1):  # timing_info_present_flag
            bits.read(32 + 32)
            if bits.read(1):  # equal_picture_interval
                bits.read_variable()
            decoder_model = bits.read(1)
            delay_bits = 1 + bits.read(5) if decoder_model else 0
            bits.read(32 + 5 + 5 if decoder_model else 0)
        display_delay = bits.read(1)
        for _ in range(1 + bits.read(5)):  # operating points
            bits.read(12)
            if bits.read(5) > 7:
                bits.read(1)
            if decoder_model and bits.read(1):
                bits.read(2 * delay_bits + 1)
            if display_delay and bits.read(1):
                bits.read(4)
    width_bits, height_bits = 1 + bits.read(4), 1 + bits.read(4)
    return 1 + bits.read(width_bits), 1 + bits.read(height_bits), width_bits, height_bits


class _Bits:
    """Reads big-endian bits; zeros past the end."""

    def __init__(self, data: bytes) -> None:
        self._value, self._left = int.from_bytes(data), 8 * len(data)

    def read(self, count: int) -> int:
        self._left -= count
        shift = self._left
        return (self._value >> shift if shift >= 0 else self._value << -shift) & (1 << count) - 1

    def read_variable(self) -> int:
        """uvlc(): section 4.10.3."""
        zeros = 0
        while not self.read(1):
            zeros += 1
            if zeros == 32:
                return (1 << 32) - 1
        return (1 << zeros) - 1 + self.read(zeros)
