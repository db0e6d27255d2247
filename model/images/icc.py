"""ICC profiles: the colours of a picture are brought to sRGB by LittleCMS, which is a part of Pillow.

The rendering intent is perceptual, as in Chrome (`skcms_Parse` takes A2B0 first) and in Firefox, where
`gfx.color_management.rendering_intent` is 0. What else a file may say of its colours is not looked at: PNG's
gAMA, cHRM and cICP, profiles in GIF and BMP, Exif's ColorSpace, and coding-independent code points in AVIF.
Sources: ICC.1:2010, sections 7 and 8, annex B; W3C PNG (third edition), section 11.3.2.3.
"""

import io
import threading
import zlib
from functools import lru_cache
from itertools import islice

import numpy as np
from PIL import Image, ImageCms

from model.images.jpeg import MAX_SEGMENTS, segments
from model.images.png import MAX_CHUNKS

MAX_PROFILE_BYTES = 4 << 20  # those of displays have 0.4 to 60 KB, those of printing presses 0.5 to 3 MB
MAX_UNPACKED_BYTES = 1 << 20  # of a PNG's, which has no CMYK
MAX_CACHED_BYTES = 1 << 16  # a larger one is read for each picture, which takes 50 to 80 ms
MAX_TAGS = 100  # LittleCMS's own limit
GREY_MODES = ("1", "L", "LA", "La", "I", "F")  # of Pillow; and those that start with I;16

_JPEG_MARKER, _JPEG_IDENTIFIER, _JPEG_SCAN = 0xE2, b"ICC_PROFILE\0", 0xDA
_PNG_CHUNK = b"iCCP"
_HEADER_BYTES, _TABLE_BYTES, _TAG_BYTES = 128, 4, 12
_MODES = {b"RGB ": "RGB", b"GRAY": "L", b"CMYK": "CMYK"}  # Pillow's, by the profile's colour space
_CLASSES = (b"scnr", b"mntr", b"prtr", b"spac")
# Those that the perceptual transform to sRGB uses. Others, of multiProcessElementsType, can take it minutes.
_TAGS = {b"A2B0", b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC", b"kTRC", b"wtpt", b"chad"}
_LEVELS = np.linspace(0, 255, 9).astype(np.uint8)
_COLOURS = np.stack(np.meshgrid(_LEVELS, _LEVELS, _LEVELS), axis=-1).reshape(27, 27, 3)

_build_lock = threading.Lock()  # bounds the memory of several threads


def read_icc_profile(data: bytes) -> bytes | None:
    """The profile in a JPEG or PNG file; those in other formats are in Pillow's `Image.info["icc_profile"]`.

    None if it is missing, damaged, or larger than MAX_PROFILE_BYTES, or MAX_UNPACKED_BYTES in a PNG.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _read_jpeg(data) if _JPEG_IDENTIFIER in data else None
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _read_png(data) if _PNG_CHUNK in data[: data.find(b"IDAT")] else None
    return None


def _read_jpeg(data: bytes) -> bytes | None:
    """Join the segments before the first scan, each with its number, from 1, and their count: annex B.4."""
    parts: dict[int, tuple[int, int]] = {}
    count = 0
    for marker, start, end in islice(segments(data), MAX_SEGMENTS):
        if marker == _JPEG_SCAN:
            break
        if marker == _JPEG_MARKER and data.startswith(_JPEG_IDENTIFIER, start + 4) and end >= start + 18:
            parts[data[start + 16]] = start + 18, end
            count = data[start + 17]
    size = sum(end - start for start, end in parts.values())
    if not 0 < size <= MAX_PROFILE_BYTES or sorted(parts) != list(range(1, count + 1)):
        return None
    return b"".join(data[start:end] for _, (start, end) in sorted(parts.items()))


def _read_png(data: bytes) -> bytes | None:
    """Decompress the chunk iCCP, which precedes those of the pixels."""
    at = 8
    for _ in range(MAX_CHUNKS):
        name, length = data[at + 4 : at + 8], int.from_bytes(data[at : at + 4])
        end = at + 12 + length
        if name == b"IDAT" or end > len(data):
            return None
        if name == _PNG_CHUNK:
            packed = data[at + 8 : end - 4].partition(b"\0")[2][1:]  # after a name and the method
            try:
                profile = zlib.decompressobj().decompress(packed, MAX_UNPACKED_BYTES + 1)
            except zlib.error:
                return None
            return profile if len(profile) <= MAX_UNPACKED_BYTES else None
        at = end
    return None


def srgb_transform(profile: object, mode: str) -> ImageCms.ImageCmsTransform | None:
    """The transform from a profile's colours to sRGB, for images of its `input_mode`: "RGB", "L" or "CMYK".

    profile: as found in a file. mode: Pillow's, of the picture; an RGB profile also fits a grey picture.

    None where the pixels are to be taken as they are: if the profile is damaged, too large, not for such
    pictures, or that of sRGB, or if Pillow was built without LittleCMS. Threads may share a transform.
    """
    if not isinstance(profile, bytes) or not _HEADER_BYTES < len(profile) <= MAX_PROFILE_BYTES:
        return None
    fits = {
        b"RGB ": mode not in ("CMYK", "LAB"),
        b"GRAY": mode in GREY_MODES or mode.startswith("I;16"),
        b"CMYK": mode == "CMYK",
    }
    if not fits.get(profile[16:20]):
        return None
    return _transform(profile) if len(profile) <= MAX_CACHED_BYTES else _build_transform(profile)


def _build_transform(profile: bytes) -> ImageCms.ImageCmsTransform | None:
    if profile[12:16] not in _CLASSES:
        return None
    mode = _MODES[profile[16:20]]
    try:
        with _build_lock:
            source = ImageCms.ImageCmsProfile(io.BytesIO(_without_other_tags(profile)))
            target = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
            transform = ImageCms.ImageCmsTransform(source, target, mode, "RGB", ImageCms.Intent.PERCEPTUAL)
    except (ImportError, OSError, ValueError):  # the first without LittleCMS
        return None
    return None if mode != "CMYK" and _is_identity(transform) else transform


_transform = lru_cache(maxsize=16)(_build_transform)


def _without_other_tags(profile: bytes) -> bytes:
    """The profile with _TAGS only in its table of tags: section 7.3."""
    start = _HEADER_BYTES + _TABLE_BYTES
    count = min(int.from_bytes(profile[_HEADER_BYTES:start]), MAX_TAGS)
    table = [profile[at : at + _TAG_BYTES] for at in range(start, start + count * _TAG_BYTES, _TAG_BYTES)]
    kept = [entry for entry in table if entry[:4] in _TAGS]
    head = profile[:_HEADER_BYTES] + len(kept).to_bytes(_TABLE_BYTES) + b"".join(kept)
    return head + profile[len(head) :]


def _is_identity(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether no colour changes by more than a level, as with all of the many profiles of sRGB."""
    colours = Image.fromarray(_COLOURS).convert(transform.input_mode)
    difference = np.asarray(transform.apply(colours)).astype(int) - np.asarray(colours.convert("RGB"))
    return bool(np.abs(difference).max() <= 1)
