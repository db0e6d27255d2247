"""The chunks of a PNG, read with limits and without Pillow before it is decoded: W3C PNG, third edition."""

import re
import zlib
from dataclasses import dataclass

from model.images.errors import ImageTooLargeError, UnsupportedImageError

MAX_CHUNKS = 20_000  # with the usual 8 KB in each, 10 MB have 1,280
MAX_TEXT_BYTES = 1 << 20  # of a text, decompressed; what follows is not read

_PIXEL_CHUNKS = {b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"}
_TEXT_CHUNKS = {b"tEXt", b"zTXt", b"iTXt"}
_EXIF, _RAW_EXIF, _XMP = "eXIf", "Raw profile type exif", "XML:com.adobe.xmp"
_is_chunk_type = re.compile(rb"\w\w\w\w").match
_raw_profile = re.compile(rb"\s*\w+\s+\d+\s+([0-9a-fA-F\s]+)").match  # a name, a length, hexadecimal digits


@dataclass(frozen=True)
class Png:
    """stripped: the chunks of the pixels only, as Pillow reads them right; of an APNG, of its first frame.

    exif, xmp: the first of each, or empty.
    """

    stripped: bytes
    exif: bytes
    xmp: bytes


def read_png(data: bytes) -> Png:
    """Parse all chunks. Raises ImageTooLargeError or UnsupportedImageError."""
    kept, at = [data[:8]], 8
    metadata: dict[str, bytes] = {}
    for _ in range(MAX_CHUNKS):
        name, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if name == b"CgBI":
            raise UnsupportedImageError("this is a PNG in Apple's own form, CgBI; send an ordinary PNG")
        if not _is_chunk_type(name) or end > len(data):
            if name in _PIXEL_CHUNKS or not _is_chunk_type(name):
                kept.append(data[at:end])  # cut short, which the decoder reports
            break
        if name == b"tRNS":
            kept.append(_with_8_bits(data[at:end], data[24:26]))
        elif name in _PIXEL_CHUNKS and (length > 0 or name != b"IDAT"):
            kept.append(data[at:end])
        elif name == b"eXIf":
            metadata.setdefault(_EXIF, data[at + 8 : end - 4])
        elif name in _TEXT_CHUNKS:
            keyword = read_keyword(data[at + 8 : min(end - 4, at + 88)])
            if keyword in (_RAW_EXIF, _XMP) and keyword not in metadata:
                metadata[keyword] = read_text(name, data[at + 8 : end - 4]) or b""
        if name == b"IEND":
            break
        at = end
    else:
        raise ImageTooLargeError(f"a PNG may have {MAX_CHUNKS} chunks at most")
    exif = metadata.get(_EXIF) or _from_hexadecimal(metadata.get(_RAW_EXIF, b""))
    return Png(b"".join(kept), exif, metadata.get(_XMP, b""))


def _with_8_bits(transparency: bytes, kind: bytes) -> bytes:
    """The chunk tRNS for Pillow, which scales grey of 2 and 4 bits to 8, but not the transparent value.

    kind: bit depth and colour type. Raises UnsupportedImageError for RGB of 16 bits, of which Pillow keeps 8.
    """
    if kind == b"\x10\x02":
        raise UnsupportedImageError("this is a 16-bit PNG with a transparent colour; send one with 8 bits")
    content = transparency[8:-4]
    checksum = zlib.crc32(transparency[4:-4]).to_bytes(4)
    if kind not in (b"\x02\x00", b"\x04\x00") or len(content) != 2 or transparency[-4:] != checksum:
        return transparency
    most = (1 << kind[0]) - 1
    scaled = b"tRNS" + ((content[1] & most) * 255 // most).to_bytes(2)
    return transparency[:4] + scaled + zlib.crc32(scaled).to_bytes(4)


def read_keyword(content: bytes) -> str:
    """The keyword of a text chunk."""
    return content[:80].partition(b"\0")[0].decode("latin-1")


def read_text(kind: bytes, content: bytes) -> bytes | None:
    """The text of a chunk `tEXt`, `zTXt` or `iTXt`, cut at MAX_TEXT_BYTES; None if it is damaged."""
    text = content.partition(b"\0")[2]
    compressed = kind == b"zTXt"
    if kind == b"iTXt":  # compression flag and method, language, translated keyword
        compressed, text = text[:1] == b"\1", text[2:].partition(b"\0")[2].partition(b"\0")[2]
    elif compressed:
        text = text[1:]
    if not compressed:
        return text[:MAX_TEXT_BYTES]
    try:
        return zlib.decompressobj().decompress(text, MAX_TEXT_BYTES)
    except zlib.error:
        return None


def _from_hexadecimal(profile: bytes) -> bytes:
    """The Exif data in ImageMagick's text."""
    found = _raw_profile(profile)
    digits = b"".join(found[1].split()) if found else b""
    return bytes.fromhex(digits[: len(digits) & ~1].decode())
