import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps

from model.images import convert
from model.images.decode import decode
from model.images.errors import BrokenImageError
from tests.pictures import encode, noise


def pixels_of(data: bytes) -> np.ndarray:
    return decode(data).pixels


def test_transparency_over_white() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    pixels = pixels_of(encode(rgba))
    assert tuple(pixels[0, 0]) == (10, 20, 30)
    assert tuple(pixels[3, 3]) == (255, 255, 255)


def test_transparent_palette_over_white() -> None:
    palette = Image.new("P", (4, 4), 1)
    palette.putpalette([255, 0, 0, 0, 0, 255])
    palette.putpixel((0, 0), 0)
    pixels = pixels_of(encode(palette, "PNG", transparency=1))
    assert tuple(pixels[0, 0]) == (255, 0, 0)
    assert tuple(pixels[3, 3]) == (255, 255, 255)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P"])
def test_other_modes_become_rgb(mode: str) -> None:
    image = Image.fromarray(noise()).convert(mode)
    assert (pixels_of(encode(image)) == np.asarray(image.convert("RGB"))).all()


def test_cmyk_becomes_rgb() -> None:
    pixels = pixels_of(encode(Image.new("CMYK", (8, 8), (0, 255, 255, 0)), "JPEG"))
    assert np.abs(pixels.astype(int) - (255, 0, 0)).max() < 10


def test_sixteen_bits_keep_their_range() -> None:
    grey = np.linspace(0, 65535, 64).astype(np.uint16).reshape(8, 8)
    pixels = pixels_of(encode(Image.fromarray(grey)))
    assert pixels[0, 0, 0] == 0
    assert pixels[7, 7, 0] == 255
    assert np.abs(pixels[..., 0] - grey / 257).max() <= 0.5


@pytest.mark.parametrize(("dtype", "top"), [(np.float32, 1.0), (np.float32, 255.0), (np.int32, 65535)])
def test_32_bit_greys_are_scaled_to_8_bits(dtype: type, top: float) -> None:
    grey = np.linspace(0, top, 64).astype(dtype).reshape(8, 8)
    pixels = pixels_of(encode(Image.fromarray(grey), "TIFF"))
    assert (pixels[0, 0, 0], pixels[7, 7, 0]) == (0, 255)


def test_values_that_are_not_numbers_are_broken() -> None:
    grey = np.full((8, 8), np.nan, np.float32)
    with pytest.raises(BrokenImageError, match="not numbers"):
        pixels_of(encode(Image.fromarray(grey), "TIFF"))


@pytest.mark.parametrize("orientation", range(9))
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_every_orientation(orientation: int, file_format: str) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(noise(0, 20, 10), file_format, exif=exif)
    with Image.open(io.BytesIO(data)) as image:
        assert (pixels_of(data) == np.asarray(ImageOps.exif_transpose(image).convert("RGB"))).all()


def modes() -> Iterator[tuple[str, bytes]]:
    rgba = np.dstack([noise(1, 50, 40), noise(2, 50, 40)[..., 0]])
    grey = noise(3, 50, 40)[..., 0]
    for mode in ("1", "L", "P", "RGB", "LA", "RGBA"):
        yield mode, encode(Image.fromarray(rgba).convert(mode))
    yield "P, transparent", encode(Image.fromarray(noise(1, 50, 40)).convert("P"), transparency=3)
    yield "RGB, transparent", encode(Image.fromarray(noise(1, 50, 40)), transparency=(0, 0, 0))
    yield "I;16", encode(Image.fromarray(grey.astype(np.uint16) * 257))
    for top in (1, 200, 60_000, 1_000_000):
        yield f"I {top}", encode(Image.fromarray((grey / 255 * top).astype(np.int32)), "TIFF")
        yield f"F {top}", encode(Image.fromarray((grey / 255 * top).astype(np.float32)), "TIFF")
    for kind in ("JPEG", "TIFF"):
        yield f"CMYK {kind}", encode(Image.fromarray(noise(1, 50, 40)).convert("CMYK"), kind)


@pytest.mark.parametrize("data", [pytest.param(data, id=mode) for mode, data in modes()])
@pytest.mark.parametrize("strip", [1, 49, 350])
def test_conversion_in_strips(data: bytes, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixels_of(data)
    monkeypatch.setattr(convert, "STRIP_PIXELS", strip)
    np.testing.assert_array_equal(pixels_of(data), whole)
