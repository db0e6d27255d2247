import io
import struct
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image, ImageOps

from model.images import convert
from model.images.decode import decode
from model.images.errors import UnsupportedImageError
from tests.abuse.pictures import chunk, png
from tests.icc_profiles import DISPLAY_P3, PRESS
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


def packed(samples: np.ndarray, bits: int) -> bytes:
    """PNG rows of one or more samples of 1 to 16 bits, each row with its filter byte."""
    rows = samples.reshape(len(samples), -1).astype(">u2").view(np.uint8).reshape(len(samples), -1, 2)
    digits = np.unpackbits(rows, axis=2)[:, :, 16 - bits :]
    return b"".join(b"\0" + np.packbits(row).tobytes() for row in digits.reshape(len(samples), -1))


def transparent_png(samples: np.ndarray, bits: int, colour: int, transparent: bytes) -> bytes:
    """A PNG of samples (H, W) or (H, W, channels) with a chunk tRNS."""
    chunks = chunk(b"tRNS", transparent), chunk(b"IDAT", zlib.compress(packed(samples, bits)))
    return png(samples.shape[1], samples.shape[0], *chunks, bits=bits, colour=colour)


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 16])
@pytest.mark.parametrize("strip", [1, 1_000_000])
def test_a_transparent_grey(bits: int, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The value itself is transparent, and no other: not even one that differs in the lowest of 16 bits."""
    monkeypatch.setattr(convert, "STRIP_PIXELS", strip)
    most = (1 << bits) - 1
    grey = np.linspace(0, most, 64).round().astype(np.uint16).reshape(4, 16)
    grey[0, :4] = [0, 1, most - 1, most]
    for transparent in {0, 1, most // 2, most}:
        shown = np.rint(grey * (255 / most))
        shown[grey == transparent] = 255
        pixels = pixels_of(transparent_png(grey, bits, 0, struct.pack(">H", transparent)))
        np.testing.assert_array_equal(pixels, np.repeat(shown[..., None], 3, axis=2))


def test_a_transparent_colour() -> None:
    colours = noise(5, 8, 8).copy()
    colours[2, 3] = colours[4, 4]
    shown = colours.copy()
    shown[[2, 4], [3, 4]] = 255
    data = transparent_png(colours, 8, 2, struct.pack(">3H", *colours[4, 4]))
    np.testing.assert_array_equal(pixels_of(data), shown)


def test_a_transparent_colour_of_16_bits_is_refused() -> None:
    """Of such a picture Pillow keeps 8 bits, which do not tell the transparent pixels from the others."""
    colours = noise(5, 8, 8).astype(np.uint16) * 257
    with pytest.raises(UnsupportedImageError, match="16-bit PNG with a transparent colour"):
        pixels_of(transparent_png(colours, 16, 2, struct.pack(">3H", *colours[4, 4])))


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
def test_transparent_palette_entries(bits: int) -> None:
    entries = noise(6, 1 << bits, 1)[0]
    alphas = np.linspace(0, 255, 1 << bits).astype(np.uint8)
    indices = np.arange(64).reshape(8, 8) % (1 << bits)
    chunks = chunk(b"PLTE", entries.tobytes()), chunk(b"tRNS", alphas.tobytes())
    data = png(8, 8, *chunks, chunk(b"IDAT", zlib.compress(packed(indices, bits))), bits=bits, colour=3)
    alpha = alphas[indices][..., None] / 255
    assert np.abs(pixels_of(data) - (entries[indices] * alpha + 255 * (1 - alpha))).max() <= 1


@pytest.mark.parametrize(("bits", "colour"), [(8, 4), (16, 4), (8, 6), (16, 6)])
def test_an_alpha_channel(bits: int, colour: int) -> None:
    samples = np.random.default_rng(1).integers(0, 1 << bits, (8, 8, 2 if colour == 4 else 4))
    data = png(8, 8, chunk(b"IDAT", zlib.compress(packed(samples, bits))), bits=bits, colour=colour)
    values = samples / ((1 << bits) - 1)
    alpha = values[..., -1:]
    shown = np.broadcast_to(255 * (values[..., :-1] * alpha + 1 - alpha), (8, 8, 3))
    assert np.abs(pixels_of(data) - shown).max() <= 2


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
    yield "F", encode(Image.fromarray((grey / 255).astype(np.float32)), "TIFF")
    for kind in ("PNG", "JPEG", "WEBP", "TIFF"):
        yield f"{kind}, Display P3", encode(Image.fromarray(noise(1, 50, 40)), kind, icc_profile=DISPLAY_P3)
    yield "RGBA, Display P3", encode(Image.fromarray(rgba), icc_profile=DISPLAY_P3)
    yield "CMYK, press", encode(Image.fromarray(noise(1, 50, 40)).convert("CMYK"), "JPEG", icc_profile=PRESS)
    for kind in ("JPEG", "TIFF"):
        yield f"CMYK {kind}", encode(Image.fromarray(noise(1, 50, 40)).convert("CMYK"), kind)


@pytest.mark.parametrize("data", [pytest.param(data, id=mode) for mode, data in modes()])
@pytest.mark.parametrize("strip", [1, 49, 350])
def test_conversion_in_strips(data: bytes, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixels_of(data)
    monkeypatch.setattr(convert, "STRIP_PIXELS", strip)
    np.testing.assert_array_equal(pixels_of(data), whole)
