"""What kind of file some bytes are, by their signature, for error messages."""

import re

_SIGNATURES = {
    "AVIF": rb".{4}ftyp(?:.{4}){0,16}?avi[fs]",
    "HEIC": rb".{4}ftyp(?:heic|heix|heim|heis|hevc|hevx|mif1|msf1)",
    "a video": rb".{4}ftyp|\x1aE\xdf\xa3|RIFF.{4}AVI ",
    "audio": rb"RIFF.{4}WAVE|ID3|OggS|fLaC",
    "JPEG XL": rb"\xff\x0a|\x00{3}\x0cJXL ",
    "JPEG 2000": rb"\x00{3}\x0cjP  |\xff\x4f\xff\x51",
    "PDF": rb"%PDF",
    "PostScript": rb"%!PS|\xc5\xd0\xd3\xc6",
    "a Photoshop document": rb"8BPS",
    "an icon": rb"\x00\x00[\x01\x02]\x00",
    "SVG": rb"\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)?(?:<!DOCTYPE svg[^>]*>\s*)?<svg",
    "HTML": rb"\s*<(?:!DOCTYPE html|html)",
    "a ZIP archive": rb"PK\x03\x04",
    "a gzip archive": rb"\x1f\x8b",
    "base64 text, which has to be decoded first or sent as JSON": rb"(?:data:image/|iVBORw0KGgo|/9j/4)",
}
_KINDS = {
    kind: re.compile(pattern, re.DOTALL | re.IGNORECASE if b"<" in pattern else re.DOTALL)
    for kind, pattern in _SIGNATURES.items()
}


def file_kind(data: bytes) -> str | None:
    """The kind of a file that is not decoded, in words, or None if it is not known."""
    head = data[:1024]
    return next((kind for kind, pattern in _KINDS.items() if pattern.match(head)), None)
