import io
import zlib

import numpy as np
import pytest
from PIL import Image

from model.images import (
    BrokenImageError,
    ImageLimits,
    ImageTooLargeError,
    UnsupportedImageError,
    decode,
)
from tests.pictures import encode, noise


def pixels_of(data: bytes, *arguments: ImageLimits) -> np.ndarray:
    return decode(data, *arguments).pixels


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "GIF", "TIFF", "WEBP", "JPEG"])
def test_reads_each_format(file_format: str) -> None:
    picture = noise()
    pixels = pixels_of(encode(picture, file_format))
    assert pixels.shape == (32, 32, 3)
    assert pixels.dtype == np.uint8
    assert np.abs(pixels.astype(int) - picture).mean() < 12  # GIF has 256 colours, JPEG half the chroma


@pytest.mark.parametrize("file_format", ["PNG", "BMP", "TIFF"])
def test_lossless_formats_give_the_same_pixels(file_format: str) -> None:
    assert (pixels_of(encode(noise(), file_format)) == noise()).all()


def test_exif_rotation_is_applied() -> None:
    picture = noise(width=20, height=10)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by 90 degrees clockwise
    pixels = pixels_of(encode(picture, "PNG", exif=exif))
    assert (pixels == np.rot90(picture, -1)).all()


def test_transparency_is_laid_over_white() -> None:
    rgba = np.zeros((4, 4, 4), np.uint8)
    rgba[0, 0] = (10, 20, 30, 255)
    pixels = pixels_of(encode(rgba))
    assert tuple(pixels[0, 0]) == (10, 20, 30)
    assert tuple(pixels[3, 3]) == (255, 255, 255)


def test_transparent_palette_is_laid_over_white() -> None:
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
def test_32_bit_greys_are_brought_to_their_range(dtype: type, top: float) -> None:
    grey = np.linspace(0, top, 64).astype(dtype).reshape(8, 8)
    pixels = pixels_of(encode(Image.fromarray(grey), "TIFF"))
    assert (pixels[0, 0, 0], pixels[7, 7, 0]) == (0, 255)


def test_values_that_are_not_numbers_are_broken() -> None:
    grey = np.full((8, 8), np.nan, np.float32)
    with pytest.raises(BrokenImageError, match="not numbers"):
        pixels_of(encode(Image.fromarray(grey), "TIFF"))


def test_first_frame_of_an_animation() -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    data = encode(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert tuple(pixels_of(data)[0, 0]) == (255, 0, 0)


@pytest.mark.parametrize("data", [b"", b"hello, I am text", b"<svg xmlns='http://www.w3.org/2000/svg'/>"])
def test_what_is_no_picture_is_unsupported(data: bytes) -> None:
    with pytest.raises(UnsupportedImageError, match="PNG, JPEG"):
        pixels_of(data)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "BMP", "TIFF"])
@pytest.mark.parametrize("share", [0.1, 0.6, 0.9])
def test_a_truncated_picture_is_broken(file_format: str, share: float) -> None:
    data = encode(noise(width=64, height=64), file_format)
    with pytest.raises(BrokenImageError, match="cut short or damaged"):
        pixels_of(data[: int(len(data) * share)])


def test_shrink_sees_the_pixels_and_the_size_stays_known() -> None:
    picture = decode(encode(noise(0, 3000, 2000), "JPEG"), shrink=lambda pixels: pixels[::1000, ::1000])
    assert picture.pixels.shape == (2, 3, 3)
    assert (picture.width, picture.height) == (3000, 2000)


def test_too_many_pixels_are_refused_from_the_header() -> None:
    with pytest.raises(ImageTooLargeError, match="33x32 pixels"):
        pixels_of(encode(noise(width=33)), ImageLimits(pixels=32 * 32))


@pytest.mark.parametrize("side", [12_000, 30_000])
def test_a_bomb_is_refused_without_decoding(side: int) -> None:
    with pytest.raises(ImageTooLargeError):
        pixels_of(png_header(side))


def png_header(side: int) -> bytes:
    """A PNG that claims to have side x side pixels."""

    def chunk(name: bytes, content: bytes) -> bytes:
        checksum = zlib.crc32(name + content)
        return len(content).to_bytes(4, "big") + name + content + checksum.to_bytes(4, "big")

    size = side.to_bytes(4, "big")
    header = chunk(b"IHDR", size + size + bytes([8, 2, 0, 0, 0]))
    return io.BytesIO(b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"\0" * 1000))).getvalue()
