"""The directories of tags in a TIFF file and in Exif, looked at before a decoder unpacks them.

Sources: TIFF 6.0, sections 2, 3, 8, 15; BigTIFF (libtiff.gitlab.io); Exif 3.0, section 4.6.3.
"""

import struct
from typing import NamedTuple

import numpy as np

from model.images.headers import AmplifiedError, DamagedError

ENTRIES = 4096  # of a directory; cameras write up to 100
NUMBERS = 400_000  # of all tags of a directory together: where each of many tiles lies, and how long it is
FRACTIONS = 4096  # likewise; Pillow makes objects of them, slowly
DIRECTORIES = 8
TILES = (
    1 << 17
)  # tiles or strips; those of 16 x 16 pixels, the smallest there are, fit a picture of 25 million
TILE_PIXELS = 1 << 20  # of a tile that is always allowed, however few pixels a picture may have
OVERLAP = 64 << 20  # bytes that may be read more than once: empty tiles often share theirs
SCANNED = 40  # JPEG scans may go through this many times the pixels that a picture may have

_SIZES = {
    1: 1,
    2: 1,
    3: 2,
    4: 4,
    5: 8,
    6: 1,
    7: 1,
    8: 2,
    9: 4,
    10: 8,
    11: 4,
    12: 8,
    13: 4,
    16: 8,
    17: 8,
    18: 8,
}
_WHOLE = {1: "u1", 3: "u2", 4: "u4", 6: "i1", 8: "i2", 9: "i4", 13: "u4", 16: "u8", 17: "i8", 18: "u8"}
_BYTES, _FRACTIONS = (1, 2, 7), (5, 10)
_FURTHER = (34665, 34853, 40965)  # directories of Exif, GPS and interoperability
_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES, _ROWS, _PLANAR = (
    256,
    257,
    258,
    259,
    266,
    277,
    278,
    284,
)
_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES = 273, 279, 322, 323, 324, 325
_GEOMETRY = {_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _FILL_ORDER, _SAMPLES, _ROWS, _PLANAR}
_GEOMETRY |= {_STRIPS, _STRIP_BYTES, _TILE_WIDTH, _TILE_HEIGHT, _TILES, _TILE_BYTES}
_JPEG, _BACKWARD, _SEPARATE = 7, 2, 2


class _Entry(NamedTuple):
    kind: int
    many: int  # values
    at: int  # of the first


class Directory:
    """The entries at a place of a file by their tags.

    Those whose value lies outside the file are left out, as Pillow does. `twice`: tags of several entries.
    Raises AmplifiedError.
    """

    def __init__(self, data: bytes, at: int) -> None:
        self._data = data
        self._entries: dict[int, _Entry] = {}
        self.twice: set[int] = set()
        self._order = ">" if data.startswith(b"MM") else "<"
        big = _is_big(data)
        head, entry = ("Q", "HHQ8s") if big else ("H", "HHL4s")
        count, size, inline = self._at(at, head), (20 if big else 12), (8 if big else 4)
        if count > ENTRIES:
            raise AmplifiedError(f"a directory may have {ENTRIES} tags at most")
        numbers = fractions = 0
        at += struct.calcsize(self._order + head)
        for place in range(at, min(at + count * size, len(data) - size + 1), size):
            tag, kind, many, _ = struct.unpack_from(self._order + entry, data, place)
            length = many * _SIZES.get(kind, 0)
            value = place + size - inline
            if length > inline:
                value = self._at(value, "Q" if big else "L")
            if not length or value + length > len(data):
                continue
            if tag in self._entries:
                self.twice.add(tag)
            self._entries[tag] = _Entry(kind, many, value)
            numbers += many if kind not in _BYTES else 0
            fractions += many if kind in _FRACTIONS else 0
        if numbers > NUMBERS or fractions > FRACTIONS:
            raise AmplifiedError(f"its tags have {numbers} numbers, {fractions} of them fractions")

    def _at(self, at: int, form: str) -> int:
        try:
            return int(struct.unpack_from(self._order + form, self._data, at)[0])
        except struct.error:  # it is cut short
            return 0

    def numbers(self, tag: int) -> np.ndarray:
        """A tag's whole numbers, none if it is missing. Raises DamagedError for another type."""
        entry = self._entries.get(tag)
        if entry is None:
            return np.empty(0, np.int64)
        if entry.kind not in _WHOLE:
            raise DamagedError(f"tag {tag} is no whole number")
        kind = np.dtype(self._order + _WHOLE[entry.kind])
        return np.frombuffer(self._data, kind, entry.many, entry.at).astype(np.int64)

    def number(self, tag: int, default: int) -> int:
        """The first of them, or `default`."""
        numbers = self.numbers(tag)
        return int(numbers[0]) if len(numbers) else default

    def __contains__(self, tag: int) -> bool:
        return tag in self._entries

    def leads_to(self) -> list[int]:
        """Where further directories begin."""
        whole = [tag for tag in _FURTHER if tag in self and self._entries[tag].kind in _WHOLE]
        return [self.number(tag, 0) for tag in whole]


def _is_big(data: bytes) -> bool:
    return data[2:4] in (b"+\0", b"\0+")


def read_tags(data: bytes) -> Directory | None:
    """The first directory of a TIFF file or of Exif's TIFF part, and a look at those it leads to.

    None where there is none, which the decoder will tell. Raises AmplifiedError.
    """
    data = data.removeprefix(b"Exif\0\0").removeprefix(b"Exif\0\0")
    if not data.startswith((b"II", b"MM")) or len(data) < 16:
        return None
    order = "big" if data.startswith(b"MM") else "little"
    at = int.from_bytes(data[8:16] if _is_big(data) else data[4:8], order)  # type: ignore[arg-type]
    if at + 2 > len(data):
        return None
    first = Directory(data, at)
    seen, following = {at}, [first]
    while following:
        for further in following.pop().leads_to():
            if 0 < further <= len(data) - 2 and further not in seen:
                seen.add(further)
                if len(seen) > DIRECTORIES:
                    raise AmplifiedError(f"there may be {DIRECTORIES} directories of tags at most")
                following.append(Directory(data, further))
    return first


def check_tiff(data: bytes, pixels: int) -> int:
    """The bytes of memory that one tile or strip takes to decode; they may be more than the picture's own.

    pixels: the most that a picture may have, and a tile. Raises AmplifiedError or DamagedError.
    """
    tags = read_tags(data)
    if tags is None:
        return 0
    width, height = tags.number(_WIDTH, 0), tags.number(_HEIGHT, 0)
    tiled = any(tag in tags for tag in (_TILE_WIDTH, _TILE_HEIGHT, _TILES))
    across = tags.number(_TILE_WIDTH, 0) if tiled else width
    down = tags.number(_TILE_HEIGHT, 0) if tiled else min(tags.number(_ROWS, height), height)
    samples, bits = tags.number(_SAMPLES, 1), int(max(tags.numbers(_BITS), default=1))
    if tags.twice & _GEOMETRY:
        raise DamagedError(
            f"tag {min(tags.twice & _GEOMETRY)} is there twice"
        )  # readers differ on which counts
    if min(width, height, across, down) <= 0 or not 0 < samples <= 64 or not 0 < bits <= 64:
        raise DamagedError("its sides, tiles or samples have an impossible size")
    most = max(pixels, TILE_PIXELS)
    tiles = -(-width // across) * -(-height // down)
    if across * down > most or (width * height <= pixels and tiles * across * down > 2 * most):
        raise AmplifiedError(f"its {tiles} tiles have {across}x{down} pixels; {most} are allowed")
    tiles *= samples if tags.number(_PLANAR, 1) == _SEPARATE else 1
    _check_tiles(data, tags, tiles, across * down, pixels)
    return (
        2 * across * down * max(4, samples * bits // 8)
    )  # as it is read, and what its packing looks back to


def _check_tiles(data: bytes, tags: Directory, tiles: int, area: int, pixels: int) -> None:
    """That no more bytes are read for the tiles, of `area` pixels each, than there are in the file."""
    offsets = tags.numbers(_TILES if _TILES in tags else _STRIPS)
    lengths = np.clip(tags.numbers(_TILE_BYTES if _TILE_BYTES in tags else _STRIP_BYTES), 0, len(data))
    if tiles > TILES or len(offsets) > 2 * tiles:
        raise AmplifiedError(f"it has {len(offsets)} tiles or strips for {tiles}; {TILES} are allowed")
    read = int(lengths.sum())
    if len(lengths) < tiles and tags.number(_FILL_ORDER, 1) == _BACKWARD:
        read = tiles * len(data)  # libtiff takes each to last to the end, and turns the bits of all of it
    if read > 2 * len(data) + OVERLAP:
        raise AmplifiedError(f"its tiles or strips have {read} bytes together, many more than the file")
    if tags.number(_COMPRESSION, 1) == _JPEG:
        scans = np.array(_places(data, b"\xff\xda"), np.int64)
        used = min(len(offsets), len(lengths))
        begin, end = offsets[:used], offsets[:used] + lengths[:used]
        count = int((np.searchsorted(scans, end) - np.searchsorted(scans, begin)).sum())
        if count * area > SCANNED * max(pixels, TILE_PIXELS):
            raise AmplifiedError(f"{count} JPEG scans of {area} pixels take too long")


def _places(data: bytes, wanted: bytes) -> list[int]:
    places, at = [], data.find(wanted)
    while at >= 0:
        places.append(at)
        at = data.find(wanted, at + 2)
    return places
