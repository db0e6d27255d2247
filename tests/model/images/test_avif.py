import io
import sys
import time
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.avif import check_avif, is_avif
from model.images.decode import ImageLimits, decode
from model.images.errors import ImageError, ImageTooLargeError, UnsupportedImageError
from tests.pictures import encode, noise

PIXELS = 25_000_000
EXIF = Image.Exif()
EXIF[0x010F] = "a camera"


@pytest.mark.parametrize("mode", ["RGB", "L", "RGBA"])
@pytest.mark.parametrize("subsampling", ["4:2:0", "4:4:4"])
def test_avif_is_read(mode: str, subsampling: str) -> None:
    image = Image.fromarray(noise(4, 65, 47)).convert(mode)
    data = encode(image, "AVIF", quality=95, subsampling=subsampling)
    assert is_avif(data)
    picture = decode(data)
    assert (picture.width, picture.height) == (65, 47)
    assert np.abs(picture.pixels.astype(int) - np.asarray(image.convert("RGB"))).mean() < 3


def test_transparency_is_laid_over_white() -> None:
    picture = decode(encode(Image.new("RGBA", (32, 32), (0, 0, 0, 0)), "AVIF"))
    assert picture.pixels.min() > 250


def test_metadata_is_disabled() -> None:
    plain = encode(noise(), "AVIF")
    data = encode(noise(), "AVIF", exif=EXIF, xmp=b"<x/>")
    assert b"infe" in data
    stripped = check_avif(data, PIXELS)
    with Image.open(io.BytesIO(stripped)) as image:
        assert not image.getexif()
        assert "xmp" not in image.info
    np.testing.assert_array_equal(decode(data).pixels, decode(plain).pixels)


@pytest.mark.parametrize("exif", [b"", b"x", b"Exif\0\0II*\0", b"MM\0*\0\0\0\x08\xff\xff" + bytes(65_000)])
def test_broken_metadata_is_ignored(exif: bytes) -> None:
    sound = encode(noise(), "AVIF", exif=EXIF)
    place = sound.index(EXIF.tobytes()[6:16])
    broken = sound[:place] + exif[:10].ljust(10, b"\xff") + sound[place + 10 :]
    np.testing.assert_array_equal(decode(broken).pixels, decode(sound).pixels)


def test_an_animation_is_not_supported() -> None:
    frames = [Image.new("RGB", (32, 32), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "AVIF", save_all=True, append_images=frames[1:])
    with pytest.raises(UnsupportedImageError, match="animated AVIF"):
        decode(data)


def test_frames_larger_than_the_picture_are_refused() -> None:
    """The file says 32x32, its stream 5008x5008: the decoder would allocate that."""
    small, large = (encode(Image.new("L", (side, side)), "AVIF", speed=10) for side in (32, 5008))
    size = (5008).to_bytes(4) * 2
    assert large.count(size) == 1
    lying = large.replace(size, (32).to_bytes(4) * 2)
    with pytest.raises(ImageTooLargeError, match="5008x5008"):
        decode(lying)
    assert decode(small).width == 32
    with pytest.raises(ImageTooLargeError):
        decode(encode(noise(0, 33, 32), "AVIF"), ImageLimits(pixels=1024))


@pytest.mark.skipif(sys.platform != "linux", reason="the same encoder on one platform is enough")
@pytest.mark.parametrize("width", [1, 2, 16, 17, 255, 256, 257, 1000])
@pytest.mark.parametrize("height", [1, 33, 64, 300])
def test_the_size_in_the_stream_is_found(width: int, height: int) -> None:
    data = encode(Image.new("RGB", (width, height)), "AVIF", speed=10)
    check_avif(data, width * height)
    with pytest.raises(ImageTooLargeError, match=f"{width}x{height}"):
        check_avif(data, width * height - 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from([encode(noise(), "AVIF", exif=EXIF), encode(noise(1, 40, 8), "AVIF", xmp=b"<x/>")]),
    st.lists(st.tuples(st.integers(0, 700), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 2000),
)
def test_changed_files_give_a_picture_or_an_image_error(data: bytes, changes: list, cut: int) -> None:
    changed = bytearray(data)
    for at, content in changes:
        changed[at % len(data) : at % len(data) + len(content)] = content
    begun = time.process_time()
    with suppress(ImageError):
        decode(bytes(changed[: cut if cut < len(data) else None]), ImageLimits(1_000_000))
    assert time.process_time() - begun < 2
