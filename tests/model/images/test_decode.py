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
from PIL import Image

from model import ROOT
from model.images import decode as images
from model.images.decode import MAX_WAITING, ImageLimits, decode
from model.images.errors import (
    BrokenImageError,
    DecoderBusyError,
    DecodeTimeoutError,
    ImageError,
    ImageTooLargeError,
    UnsupportedImageError,
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


def test_transform_is_applied_and_the_size_is_the_original() -> None:
    picture = decode(
        encode(noise(0, 3000, 2000), "JPEG"), transform=lambda image: np.asarray(image.reduce(1000))
    )
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
    """A PNG whose header declares side x side pixels."""

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


LARGE = encode(noise(0, 1500, 1500), "JPEG")


@contextmanager
def occupied() -> Iterator[None]:
    """Another thread decodes a large picture."""
    begun, over = threading.Event(), threading.Event()

    def hold(image: Image.Image) -> np.ndarray:
        begun.set()
        assert over.wait(30)
        return np.asarray(image)[:1, :1]

    thread = threading.Thread(target=decode, args=(LARGE,), kwargs={"transform": hold})
    thread.start()
    try:
        assert begun.wait(30)
        yield
    finally:
        over.set()
        thread.join()


def test_a_deadline_that_has_passed() -> None:
    for data in (LARGE, b"no picture"):
        with pytest.raises(DecodeTimeoutError):
            decode(data, deadline=time.monotonic() - 0.001)


def test_a_deadline_while_waiting_for_the_lock() -> None:
    with occupied():
        for ignore_queue_limit in (False, True):
            begun = time.monotonic()
            with pytest.raises(DecodeTimeoutError):
                decode(LARGE, deadline=begun + 0.1, ignore_queue_limit=ignore_queue_limit)
            assert 0.09 < time.monotonic() - begun < 5
        assert pixels_of(encode(noise())).shape == (32, 32, 3)  # a small one does not wait
    assert decode(LARGE, deadline=time.monotonic() + 60).width == 1500


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "GIF", "BMP", "TIFF", "WEBP"])
def test_a_deadline_during_decoding(file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock advances by a second at each call."""
    seconds = iter(range(10_000))
    monkeypatch.setattr(images.time, "monotonic", lambda: float(next(seconds)))
    data = encode(noise(0, 400, 400), file_format)
    assert decode(data, deadline=9_000.0).width == 400
    used = next(seconds)
    assert used > 3
    with pytest.raises(DecodeTimeoutError):
        decode(data, deadline=used + 2.0)


def test_errors_of_load_are_not_image_errors() -> None:
    assert not issubclass(DecodeTimeoutError, ImageError | OSError)  # Pillow handles OSError
    assert not issubclass(DecoderBusyError, ImageError | OSError)


def test_queue_limit() -> None:
    outcomes: list[object] = []

    def wait(ignore_queue_limit: bool) -> None:
        outcomes.append(
            decode(
                LARGE, ignore_queue_limit=ignore_queue_limit, transform=lambda image: np.asarray(image)[0]
            ).width
        )

    with ExitStack() as stack, occupied():
        for number in range(MAX_WAITING + 2):
            thread = threading.Thread(target=wait, args=(number < 2,))
            thread.start()
            stack.callback(thread.join)
        begun = time.monotonic()
        while images._large_image_lock._waiting < MAX_WAITING and time.monotonic() < begun + 30:
            time.sleep(0.005)
        with pytest.raises(DecoderBusyError):
            decode(LARGE)
        with pytest.raises(DecodeTimeoutError):
            decode(LARGE, ignore_queue_limit=True, deadline=time.monotonic() + 0.05)
    assert outcomes == [1500] * (MAX_WAITING + 2)
    assert decode(LARGE).width == 1500


MEASURE = """
import sys, threading
import numpy as np
from api.server.memory import return_freed_memory
from model.images.decode import decode
from PIL import Image
from tests.pictures import encode, noise
return_freed_memory()  # as the service does; otherwise glibc keeps what each thread has freed
kind, width, height, threads = sys.argv[1], *map(int, sys.argv[2:])
data = encode(Image.new("RGB", (width, height), "red"), kind, progressive=True)
decode(encode(noise(), kind))
barrier = threading.Barrier(threads)
def work():
    barrier.wait()
    decode(data, transform=lambda image: np.asarray(image.crop((0, 0, 1, 1))))
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
        ("JPEG", 610, 610, 32, 200),  # just below LARGE_BYTES
        ("WEBP", 500, 499, 32, 200),
        ("PNG", 1024, 1024, 32, 200),
        ("JPEG", 2500, 2500, 9, 100),  # one at a time
        ("WEBP", 5000, 5000, 2, 350),
    ],
)
def test_memory_in_many_threads(kind: str, width: int, height: int, threads: int, most: int) -> None:
    numbers = map(str, (width, height, threads))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, kind, *numbers], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < most
