"""Exif: tags of a TIFF structure (TIFF 6.0, Exif 3.0), read within limits."""

import struct

from model.images.png import MAX_TEXT_BYTES
from model.images.provenance.blocks import MAX_MANIFEST_BYTES

MAX_TAGS, MAX_DIRECTORIES = 512, 4  # of Exif; cameras write up to 100 tags

_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 7: 1, 13: 4}  # of the types of tags that are read
MAKE, MODEL, USER_COMMENT, _EXIF, XMP, C2PA = 0x010F, 0x0110, 0x9286, 0x8769, 0x02BC, 0xCD41
TEXT_TAGS = {0x010E: "ImageDescription", 0x0131: "Software"}
EXPOSURE_TAGS = {
    0x829A: ("time", "ExposureTime"),
    0x829D: ("f_number", "FNumber"),
    0x8827: ("iso", "PhotographicSensitivity"),
    0x920A: ("focal_length", "FocalLength"),
}
_TAGS = {MAKE, MODEL, USER_COMMENT, _EXIF, XMP, C2PA, *TEXT_TAGS, *EXPOSURE_TAGS}

Value = tuple[int, bytes]
"""The type of a tag, and its bytes."""


def read_tags(block: bytes) -> tuple[str, dict[int, Value]]:
    """The byte order of an Exif block, as `struct` has it, and the tags that are read.

    Raises KeyError or struct.error for a block that is damaged.
    """
    order = {b"II": "<", b"MM": ">"}[block[:2]]
    tags: dict[int, Value] = {}
    (offset,) = struct.unpack_from(f"{order}L", block, 4)
    for _ in range(MAX_DIRECTORIES):
        offset = _read_directory(block, offset, order, tags)
    if _EXIF in tags:
        _read_directory(block, int(number(tags[_EXIF], order) or 0), order, tags)
    return order, tags


def _read_directory(block: bytes, offset: int, order: str, tags: dict[int, Value]) -> int:
    """Add the type and bytes of each tag that is read, and return the offset of the next directory, or 0."""
    if offset < 8 or offset + 2 > len(block):
        return 0
    (count,) = struct.unpack_from(f"{order}H", block, offset)
    for at in range(offset + 2, min(offset + 2 + 12 * min(count, MAX_TAGS), len(block) - 11), 12):
        tag, kind, number, start = struct.unpack_from(f"{order}HHLL", block, at)
        size = number * _SIZES.get(kind, 0)
        if tag in _TAGS and size:
            start = at + 8 if size <= 4 else start
            limit = MAX_MANIFEST_BYTES + 1 if tag == C2PA else MAX_TEXT_BYTES
            tags.setdefault(tag, (kind, block[start : start + min(size, limit)]))
    after = offset + 2 + 12 * count
    return int(struct.unpack_from(f"{order}L", block, after)[0]) if after + 4 <= len(block) else 0


def text(value: Value | None) -> str:
    """A tag's text up to its first null byte."""
    return value[1].partition(b"\0")[0].decode(errors="replace").strip() if value else ""


def user_comment(value: Value | None, order: str) -> str:
    """Exif 3.0, 4.6.6: 8 bytes name the encoding. UTF-16 has either byte order, whatever that of the file."""
    name, text = (value[1][:8], value[1][8:]) if value else (b"", b"")
    if name != b"UNICODE\0" or b"\0" not in text[:64]:
        return text.decode(errors="replace")
    low, high = text[1:4096:2].count(0), text[0:4096:2].count(0)
    little = low > high if low != high else order == "<"
    return text.decode("utf-16-le" if little else "utf-16-be", errors="replace")


def number(value: Value | None, order: str) -> float | None:
    """The first number of a tag; None if it is not positive and finite."""
    code = {3: "H", 4: "L", 5: "LL", 13: "L"}.get(value[0]) if value else None
    if value is None or code is None or len(value[1]) < struct.calcsize(f"={code}"):
        return None
    number, *divisors = struct.unpack_from(order + code, value[1])
    if not all((number, *divisors)):
        return None
    return float(f"{number / divisors[0]:.6g}") if divisors else int(number)
