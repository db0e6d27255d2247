import io
import struct
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError
from model.images.headers import (
    MAX_BLOCKS,
    declared_pixels,
    first_frame_offset,
)
from model.images.jpeg import read_jpeg
from model.images.png import MAX_CHUNKS
from model.images.structure import check_structure
from tests.pictures import encode, noise

PIXELS = 25_000_000
KINDS = ["PNG", "JPEG", "GIF", "BMP", "WEBP"]


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.sampled_from(KINDS), st.integers(1, 300), st.integers(1, 300), st.booleans())
def test_pixels_are_what_pillow_finds(kind: str, width: int, height: int, odd: bool) -> None:
    options = {"JPEG": {"progressive": odd}, "WEBP": {"lossless": odd}}.get(kind, {})
    data = encode(np.zeros((height, width, 3), np.uint8), kind, **options)
    assert declared_pixels(data) == declared_pixels(data[: 1 << 16]) == width * height


def test_webp_with_transparency() -> None:
    assert declared_pixels(encode(Image.new("RGBA", (70, 50), (1, 2, 3, 4)), "WEBP", exif=b"x")) == 3500


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.sampled_from([encode(noise(), kind) for kind in KINDS]), st.integers(0, 60), st.binary(max_size=20))
def test_damaged_heads_tell_nothing_and_fail_nothing(data: bytes, at: int, change: bytes) -> None:
    damaged = data[:at] + change + data[at + len(change) :]
    for part in (damaged, damaged[:at], change):
        assert declared_pixels(part) >= 0
        with suppress(ImageTooLargeError, BrokenImageError, UnsupportedImageError):
            check_structure(part, PIXELS)
        with suppress(ImageTooLargeError, UnsupportedImageError):
            read_jpeg(part)


def test_more_parts_than_a_picture_needs() -> None:
    png = encode(noise())
    chunk = struct.pack(">L", 0) + b"tEXt" + bytes(4)
    check_structure(png[:33] + chunk * 100 + png[33:], PIXELS)
    with pytest.raises(ImageTooLargeError, match="chunks"):
        check_structure(png[:33] + chunk * MAX_CHUNKS + png[33:], PIXELS)
    gif = encode(noise(), "GIF")
    start = 13 + (3 << (gif[10] & 7) + 1)
    comment = b"\x21\xfe" + b"\x01x" * (MAX_BLOCKS + 1) + b"\0"
    check_structure(gif, PIXELS)
    with pytest.raises(ImageTooLargeError, match="blocks"):
        check_structure(gif[:start] + comment + gif[start:], PIXELS)


def pillow_pixels(data: bytes) -> int | None:
    """None where Pillow refuses the file before it decodes it."""
    try:
        with Image.open(io.BytesIO(data), formats=[*KINDS]) as image:
            return image.width * image.height
    except Exception:
        return None


@pytest.mark.filterwarnings("ignore")
@settings(derandomize=True, deadline=None, max_examples=600)
@given(st.sampled_from([encode(noise(), kind) for kind in KINDS]), st.integers(0, 1200), st.integers(0, 255))
def test_of_changed_files_pillow_finds_no_more(data: bytes, at: int, value: int) -> None:
    """What Pillow opens has the pixels that a batch was told."""
    changed = bytearray(data)
    changed[at % len(data)] = value
    found = pillow_pixels(bytes(changed))
    if found is not None and found < 1 << 28:
        assert declared_pixels(bytes(changed)) == found


def test_a_gif_is_as_large_as_its_first_frame_needs() -> None:
    data = bytearray(encode(noise(), "GIF"))
    at = first_frame_offset(bytes(data))
    data[at + 1 : at + 3] = (100).to_bytes(2, "little")
    assert declared_pixels(bytes(data)) == pillow_pixels(bytes(data)) == 132 * 32
