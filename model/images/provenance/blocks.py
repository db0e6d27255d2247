"""Blocks of metadata in image files: Exif, XMP, C2PA manifests and texts, found by the structure of the file.

Of GIF, AVIF and HEIF only those that lie in the file uncompressed. Sources: W3C PNG (third edition), ITU-T
T.81, RFC 9649 (WebP), TIFF 6.0, IPTC IIM 4.2, ISO 16684-3 (XMP in files), C2PA 2.2 (appendix A, embedding).
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

from model.images.png import MAX_TEXT_BYTES, read_keyword, read_text
from model.images.provenance.generators import KEYS

# Of a text, of XMP and of Exif, what follows MAX_TEXT_BYTES is not read.
MAX_BLOCKS = 20_000  # chunks or segments
MAX_MANIFEST_BYTES = 4 << 20  # of C2PA, thumbnails included

_MAGIC = {
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"\xff\xd8\xff": "image/jpeg",
    b"II*\0": "image/tiff",
    b"MM\0*": "image/tiff",
    b"GIF8": "image/gif",
}
_XMP_IN_JPEG, _XMP_IN_PNG = b"http://ns.adobe.com/xap/1.0/\0", "XML:com.adobe.xmp"
_JPEG_MARKER = re.compile(rb"\xff+([^\x00\xff])", re.DOTALL)
_TIFF_HEADER = re.compile(rb"II\*\0\x08\0\0\0|MM\0\*\0\0\0\x08")
_C2PA_IN_GIF = b"\x21\xff\x0bC2PA_GIF\x01\0\0"
_C2PA_IN_BOX = re.compile(  # of AVIF and HEIF: UUID, version, purpose, offset
    rb"\xd8\xfe\xc3\xd6\x1b\x0e\x48\x3c\x92\x97\x58\x28\x87\x7e\xc4\x81.{4}manifest\0.{8}", re.DOTALL
)
_IPTC_TEXT = re.compile(rb"\x1c\x02([\x6e\x41])\0([\x01-\xff])", re.DOTALL)
_IPTC_KEYS = {b"\x6e": "Credit", b"\x41": "OriginatingProgram"}


class LimitError(Exception):
    """A file has more or larger metadata than is read."""


class Block(NamedTuple):
    """kind: "exif", "xmp", "c2pa", "text" or "damaged"; place: of a text, as in evidence."""

    kind: str
    data: bytes
    place: str = ""


def mime_type(data: bytes) -> str:
    """The MIME type of a file that is read, or an empty text."""
    if data.startswith(b"RIFF"):
        return "image/webp" if data[8:12] == b"WEBP" else ""
    kinds = (kind for magic, kind in _MAGIC.items() if data.startswith(magic))
    return next(kinds, "image/avif" if data[4:8] == b"ftyp" else "")


def read_blocks(data: bytes) -> Iterator[Block]:
    """The blocks of metadata in a file, in its order. Raises LimitError above MAX_BLOCKS chunks."""
    kind = mime_type(data)
    if kind == "image/png":
        yield from _png_blocks(data)
    elif kind == "image/jpeg":
        yield from _jpeg_blocks(data)
    elif kind == "image/webp":
        yield from _webp_blocks(data)
    elif kind == "image/tiff":
        yield Block("exif", data)
    elif kind:
        yield from _uncompressed_blocks(data)


def _png_blocks(data: bytes) -> Iterator[Block]:
    at = 8
    for _ in range(MAX_BLOCKS):
        length, name = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if len(name) < 4 or name == b"IEND":
            return
        start, end = at + 8, at + 8 + length
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _png_text(name, data[start : min(end, start + MAX_TEXT_BYTES)])
        elif name == b"eXIf":
            yield Block("exif", data[start : min(end, start + MAX_TEXT_BYTES)])
        elif name == b"caBX":
            yield Block("c2pa", data[start : min(end, start + MAX_MANIFEST_BYTES + 1)])
        at = end + 4
    raise LimitError


def _png_text(name: bytes, content: bytes) -> Iterator[Block]:
    key = read_keyword(content)
    if key != _XMP_IN_PNG and key not in KEYS:
        return
    text = read_text(name, content)
    if text is None:
        yield Block("damaged", b"")
    else:
        yield Block("xmp", text) if key == _XMP_IN_PNG else Block("text", text, f"png:{key}")


def _jpeg_blocks(data: bytes) -> Iterator[Block]:
    at, box = 2, b""  # the number of C2PA's JUMBF box
    for _ in range(MAX_BLOCKS):
        found = _JPEG_MARKER.match(data, at)
        length = int.from_bytes(data[found.end() : found.end() + 2]) if found else 0
        if not found or found[1] in b"\xda\xd9" or length < 2:  # a scan, or the end
            return
        at = found.end() + length
        content = data[found.end() + 2 : at]
        if found[1] == b"\xe1" and content.startswith(b"Exif\0\0"):
            yield Block("exif", content)
        elif found[1] == b"\xe1" and content.startswith(_XMP_IN_JPEG):
            yield Block("xmp", content.removeprefix(_XMP_IN_JPEG))
        elif found[1] == b"\xeb" and content.startswith(b"JP") and content[24:28] == b"c2pa" and not box:
            box = content[2:4]
            yield Block("c2pa", content[8:])
        elif found[1] == b"\xeb" and content.startswith(b"JP" + box) and box:
            yield Block("c2pa", content[16:])  # without the header of the box, which each segment repeats
        elif found[1] == b"\xed" and content.startswith(b"Photoshop 3.0\0"):
            for dataset in _IPTC_TEXT.finditer(content):
                text = content[dataset.end() : dataset.end() + dataset[2][0]]
                yield Block("text", text, f"iptc:{_IPTC_KEYS[dataset[1]]}")
        elif found[1] == b"\xfe":
            yield Block("text", content, "jpeg:comment")
    raise LimitError


def _webp_blocks(data: bytes) -> Iterator[Block]:
    kinds, at = {b"EXIF": "exif", b"XMP ": "xmp", b"C2PA": "c2pa"}, 12
    for _ in range(MAX_BLOCKS):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if len(name) < 4:
            return
        if name in kinds:
            limit = MAX_MANIFEST_BYTES + 1 if name == b"C2PA" else MAX_TEXT_BYTES
            yield Block(kinds[name], data[at + 8 : at + 8 + min(length, limit)])
        at += 8 + length + (length & 1)
    raise LimitError


def _uncompressed_blocks(data: bytes) -> Iterator[Block]:
    if header := _TIFF_HEADER.search(data):
        yield Block("exif", data[header.start() : header.start() + MAX_TEXT_BYTES])
    start = data.find(b"<x:xmpmeta")
    if start >= 0:
        end = data.find(b"</x:xmpmeta>", start, start + MAX_TEXT_BYTES)
        yield Block("xmp", data[start : end + 12 if end >= 0 else start + MAX_TEXT_BYTES])
    at = data.find(_C2PA_IN_GIF)
    if at >= 0 and data.startswith(b"GIF8"):
        at += len(_C2PA_IN_GIF)
        for _ in range(MAX_BLOCKS):  # sub-blocks
            if at >= len(data) or not data[at]:
                break
            yield Block("c2pa", data[at + 1 : at + 1 + data[at]])
            at += 1 + data[at]
    elif found := _C2PA_IN_BOX.search(data):
        size = min(int.from_bytes(data[found.end() : found.end() + 4]), MAX_MANIFEST_BYTES + 1)
        yield Block("c2pa", data[found.end() : found.end() + size])
