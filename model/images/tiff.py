"""Checks of the image file directories (IFDs) of TIFF files and of Exif before they are decoded.

Sources: TIFF 6.0, sections 2, 3, 8, 15; BigTIFF (libtiff.gitlab.io); Exif 3.0, section 4.6.3.
"""

import re
import struct
from typing import NamedTuple

import numpy as np

from model.images.errors import BrokenImageError, ImageTooLargeError
from model.images.jpeg import MAX_SCAN_RATIO
from model.images.tiff_samples import check_samples

MAX_TAGS = 4096  # of a directory; cameras write up to 100
MAX_NUMBERS = 400_000  # values of all tags of a directory, most of them offsets and lengths of tiles
MAX_RATIONALS = 4096  # likewise; Pillow slowly makes an object of each
MAX_DIRECTORIES = 8
MAX_TILES = 1 << 17  # tiles or strips; 25 million pixels have fewer even in the smallest tiles, of 16x16
TILE_PIXELS = 1 << 20  # a tile may have as many even where an image may not
MAX_OVERLAP = 64 << 20  # bytes that may be read more than once: empty tiles often share their data

_TYPES_BY_SIZE = {1: (1, 2, 6, 7), 2: (3, 8), 4: (4, 9, 11, 13), 8: (5, 10, 12, 16, 17, 18)}
_SIZES = {type_: size for size, types in _TYPES_BY_SIZE.items() for type_ in types}
_INTEGERS = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_BYTES, _RATIONALS = (1, 2, 7), (5, 10)
_SUB_DIRECTORIES = (34665, 34853, 40965)  # Exif, GPS and interoperability
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES = 256, 257, 258, 259, 266, 277
_STRIPS, _ROWS, _STRIP_BYTES, _PLANAR = 273, 278, 279, 284
_TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 322, 323, 324, 325
_GEOMETRY = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES, _STRIPS, _ROWS, _STRIP_BYTES}
_GEOMETRY |= {_PLANAR, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES}
_JPEG_COMPRESSION, _REVERSED_BITS, _SEPARATE_PLANES = 7, 2, 2


class _Entry(NamedTuple):
    type: int
    length: int
    offset: int  # of the first value in the file


class Directory:
    """The entries of the directory at an offset of a file, by their tags.

    Entries whose values lie outside the file are left out, as Pillow does. `repeated`: tags of several
    entries; `outside`: tags that are left out; `truncated`: the file ends before the last entry. Raises
    ImageTooLargeError.
    """

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self._entries: dict[int, _Entry] = {}
        self.repeated: set[int] = set()
        self.outside: set[int] = set()
        self._order = ">" if data.startswith(b"MM") else "<"
        big = _is_bigtiff(data)
        head, entry = ("Q", "HHQ8s") if big else ("H", "HHL4s")
        tags, size, inline = self._integer(offset, head), (20 if big else 12), (8 if big else 4)
        if tags > MAX_TAGS:
            raise ImageTooLargeError(f"a directory may have {MAX_TAGS} tags at most")
        numbers = rationals = 0
        start = offset + struct.calcsize(self._order + head)
        self.truncated = start + tags * size > len(data)
        for at in range(start, min(start + tags * size, len(data) - size + 1), size):
            tag, type_, count, _ = struct.unpack_from(self._order + entry, data, at)
            length = count * _SIZES.get(type_, 0)
            value = at + size - inline
            if length > inline:
                value = self._integer(value, "Q" if big else "L")
            if not length or value + length > len(data):
                self.outside.add(tag)
                continue
            if tag in self._entries:
                self.repeated.add(tag)
            self._entries[tag] = _Entry(type_, count, value)
            numbers += count if type_ not in _BYTES else 0
            rationals += count if type_ in _RATIONALS else 0
        if numbers > MAX_NUMBERS or rationals > MAX_RATIONALS:
            raise ImageTooLargeError(f"its tags have {numbers} numbers, {rationals} of them fractions")

    def _integer(self, offset: int, code: str) -> int:
        try:
            return int(struct.unpack_from(self._order + code, self._data, offset)[0])
        except struct.error:  # the file is truncated
            return 0

    def numbers(self, tag: int) -> np.ndarray:
        """A tag's integers, int64; empty if the tag is missing. Raises BrokenImageError for another type."""
        entry = self._entries.get(tag)
        if entry is None:
            return np.empty(0, np.int64)
        if entry.type not in _INTEGERS:
            raise _broken(f"tag {tag} is no whole number")
        dtype = np.dtype(self._order + _INTEGERS[entry.type])
        return np.frombuffer(self._data, dtype, entry.length, entry.offset).astype(np.int64)

    def number(self, tag: int, default: int) -> int:
        """A tag's first integer, or `default`."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if len(numbers) else default

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def at(self, offset: int) -> "Directory":
        """The directory at another offset of the file. Raises ImageTooLargeError."""
        return Directory(self._data, offset)

    def sub_directories(self) -> list[int]:
        """Offsets of the directories that this one points to."""
        present = [tag for tag in _SUB_DIRECTORIES if tag in self and self._entries[tag].type in _INTEGERS]
        return [self.number(tag, 0) for tag in present]


def _is_bigtiff(data: bytes) -> bool:
    return data[2:4] in (b"+\0", b"\0+")


def _broken(reason: str) -> BrokenImageError:
    return BrokenImageError(f"the picture is cut short or damaged: {reason}")


def first_directory(data: bytes) -> Directory | None:
    """The first directory of a TIFF file or of Exif data, or None. Raises ImageTooLargeError."""
    start = _first_offset(data)
    return None if start is None else Directory(data, start)


def read_tags(data: bytes) -> Directory | None:
    """The first directory of a TIFF file; the directories that it points to are checked too.

    None if there is none, which the decoder reports. Raises ImageTooLargeError.
    """
    start = _first_offset(data)
    if start is None:
        return None
    first = Directory(data, start)
    seen, pending = {start}, [first]
    while pending:
        for offset in pending.pop().sub_directories():
            if 0 < offset <= len(data) - 2 and offset not in seen:
                seen.add(offset)
                if len(seen) > MAX_DIRECTORIES:
                    raise ImageTooLargeError(f"there may be {MAX_DIRECTORIES} directories of tags at most")
                pending.append(Directory(data, offset))
    return first


def _first_offset(data: bytes) -> int | None:
    if not data.startswith((b"II", b"MM")) or len(data) < 16:
        return None
    order = "big" if data.startswith(b"MM") else "little"
    start = int.from_bytes(data[8:16] if _is_bigtiff(data) else data[4:8], order)  # type: ignore[arg-type]
    return start if start + 2 <= len(data) else None


def check_tiff(data: bytes, pixels: int) -> int:
    """Bytes of memory that decoding one tile or strip takes; these may exceed those of the image.

    pixels: the maximum of an image and of a tile. Raises ImageTooLargeError, UnsupportedImageError or
    BrokenImageError.
    """
    tags = read_tags(data)
    if tags is None:
        return 0
    width, height = tags.number(_WIDTH, 0), tags.number(_HEIGHT, 0)
    tiled = any(tag in tags for tag in (_TILE_WIDTH, _TILE_HEIGHT, _TILES))
    tile_width = tags.number(_TILE_WIDTH, 0) if tiled else width
    tile_height = tags.number(_TILE_HEIGHT, 0) if tiled else min(tags.number(_ROWS, height), height)
    samples, bits = tags.number(_SAMPLES, 1), int(max(tags.numbers(_BITS), default=1))
    if tags.repeated & _GEOMETRY:  # readers differ on which of them counts
        raise _broken(f"tag {min(tags.repeated & _GEOMETRY)} is there twice")
    if min(width, height, tile_width, tile_height) <= 0 or not 0 < samples <= 64 or not 0 < bits <= 64:
        raise _broken("its sides, tiles or samples have an impossible size")
    check_samples(data, tags)
    limit = max(pixels, TILE_PIXELS)
    area = tile_width * tile_height
    tiles = -(-width // tile_width) * -(-height // tile_height)
    if area > limit or (width * height <= pixels and tiles * area > 2 * limit):
        raise ImageTooLargeError(
            f"its {tiles} tiles have {tile_width}x{tile_height} pixels; {limit} are allowed"
        )
    tiles *= samples if tags.number(_PLANAR, 1) == _SEPARATE_PLANES else 1
    _check_tiles(data, tags, tiles, area, pixels)
    return 2 * area * max(4, samples * bits // 8)  # the tile, and the history of its decompression


def _check_tiles(data: bytes, tags: Directory, tiles: int, area: int, pixels: int) -> None:
    """Check that decoding tiles of `area` pixels reads about as many bytes as the file has."""
    offsets = tags.numbers(_TILES if _TILES in tags else _STRIPS)
    lengths = np.clip(tags.numbers(_TILE_BYTES if _TILE_BYTES in tags else _STRIP_BYTES), 0, len(data))
    if tiles > MAX_TILES or len(offsets) > 2 * tiles:
        raise ImageTooLargeError(
            f"it has {len(offsets)} tiles or strips for {tiles}; {MAX_TILES} are allowed"
        )
    read = int(lengths.sum())
    if len(lengths) < tiles and tags.number(_FILL_ORDER, 1) == _REVERSED_BITS:
        read = tiles * len(data)  # libtiff reads from each offset to the end, and reverses all of these bits
    if read > 2 * len(data) + MAX_OVERLAP:
        raise ImageTooLargeError(f"its tiles or strips have {read} bytes together, many more than the file")
    if tags.number(_COMPRESSION, 1) == _JPEG_COMPRESSION:
        scans = np.array([found.start() for found in re.finditer(rb"\xff\xda", data)], np.int64)
        used = min(len(offsets), len(lengths))
        begin, end = offsets[:used], offsets[:used] + lengths[:used]
        count = int((np.searchsorted(scans, end) - np.searchsorted(scans, begin)).sum())
        if count * area > MAX_SCAN_RATIO * max(pixels, TILE_PIXELS):
            raise ImageTooLargeError(f"{count} JPEG scans of {area} pixels take too long")
