import io
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import pytest
from PIL import Image, ImageOps

from model import ROOT
from model.images import decode as images
from model.images.decode import (
    WAITING,
    BrokenImageError,
    DecoderBusyError,
    DecodeTimeoutError,
    ImageError,
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


@pytest.mark.parametrize("sides", [(65_536, 1), (1, 65_536), (1, 25_000_000)])
def test_a_side_has_a_limit_of_its_own(sides: tuple[int, int]) -> None:
    data = encode(Image.new("1", sides))
    with pytest.raises(ImageTooLargeError, match=f"{sides[0]}x{sides[1]} pixels"):
        pixels_of(data)


def test_the_longest_side_is_read() -> None:
    assert pixels_of(encode(Image.new("1", (1, 65_535)))).shape == (65_535, 1, 3)


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
def test_converted_in_strips_it_is_the_same(data: bytes, strip: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = pixels_of(data)
    monkeypatch.setattr(images, "STRIP", strip)
    np.testing.assert_array_equal(pixels_of(data), whole)


LARGE = encode(noise(0, 1500, 1500), "JPEG")


@contextmanager
def occupied() -> Iterator[None]:
    """Another thread decodes a large picture."""
    begun, over = threading.Event(), threading.Event()

    def hold(pixels: np.ndarray) -> np.ndarray:
        begun.set()
        assert over.wait(30)
        return pixels[:1, :1]

    thread = threading.Thread(target=decode, args=(LARGE,), kwargs={"shrink": hold})
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        thread.join()


def test_a_deadline_that_is_over() -> None:
    for data in (LARGE, b"no picture"):
        with pytest.raises(DecodeTimeoutError):
            decode(data, deadline=time.monotonic() - 0.001)


def test_a_deadline_while_waiting_for_the_turn() -> None:
    with occupied():
        for patient in (False, True):
            begun = time.monotonic()
            with pytest.raises(DecodeTimeoutError):
                decode(LARGE, deadline=begun + 0.1, patient=patient)
            assert 0.09 < time.monotonic() - begun < 5
        assert pixels_of(encode(noise())).shape == (32, 32, 3)  # a small one does not wait
    assert decode(LARGE, deadline=time.monotonic() + 60).width == 1500


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_deadline_during_decoding(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock goes on by a second whenever it is read."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(images.time, "monotonic", lambda: float(next(seconds)))
    data = encode(noise(0, 300, 300), file_format)
    assert decode(data, deadline=9_000.0).width == 300
    used = next(seconds)
    assert used > 3
    with pytest.raises(DecodeTimeoutError):
        decode(data, deadline=used + 2.0)


def test_a_timeout_says_nothing_of_the_picture() -> None:
    assert not issubclass(DecodeTimeoutError, ImageError | OSError)  # Pillow makes little of an OSError
    assert not issubclass(DecoderBusyError, ImageError | OSError)


def test_only_so_many_wait_but_the_patient() -> None:
    outcomes: list[object] = []

    def wait(patient: bool) -> None:
        outcomes.append(decode(LARGE, patient=patient, shrink=lambda pixels: pixels[:1, :1]).width)

    with ExitStack() as stack, occupied():
        for number in range(WAITING + 2):
            thread = threading.Thread(target=wait, args=(number < 2,))
            thread.start()
            stack.callback(thread.join)
        begun = time.monotonic()
        while images._large._waiting < WAITING and time.monotonic() < begun + 30:
            time.sleep(0.005)
        with pytest.raises(DecoderBusyError):
            decode(LARGE)
        with pytest.raises(DecodeTimeoutError):
            decode(LARGE, patient=True, deadline=time.monotonic() + 0.05)
    assert outcomes == [1500] * (WAITING + 2)
    assert decode(LARGE).width == 1500


MEASURE = """
import sys, threading
from model.images.decode import decode
from PIL import Image
from tests.pictures import encode, noise
kind, width, height, threads = sys.argv[1], *map(int, sys.argv[2:])
data = encode(Image.new("RGB", (width, height), "red"), kind, progressive=True)
decode(encode(noise(), kind))
barrier = threading.Barrier(threads)
def work():
    barrier.wait()
    decode(data, shrink=lambda pixels: pixels[:1, :1].copy())
with open("/proc/self/clear_refs", "w") as file:
    file.write("5")
peak = lambda: next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM"))
before = peak()
workers = [threading.Thread(target=work) for _ in range(threads)]
for worker in workers: worker.start()
for worker in workers: worker.join()
print((peak() - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
@pytest.mark.parametrize(
    ("kind", "width", "height", "threads", "most"),
    [
        ("JPEG", 610, 610, 32, 200),  # just below what waits for its turn
        ("WEBP", 500, 499, 32, 200),
        ("PNG", 705, 705, 32, 200),
        ("JPEG", 2500, 2500, 9, 200),  # they take turns
        ("WEBP", 5000, 5000, 2, 350),
    ],
)
def test_memory_in_many_threads(kind: str, width: int, height: int, threads: int, most: int) -> None:
    numbers = map(str, (width, height, threads))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, *numbers], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < most
