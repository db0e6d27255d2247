import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.decode import DecodedImage, ImageLimits, decode
from model.images.errors import BrokenImageError, ImageError, ImageTooLargeError
from model.images.structure import check_structure
from model.images.tiff import MAX_RATIONALS, MAX_TAGS, read_tags
from tests.abuse.pictures import PICTURES, RATIONAL, grey, number, tiff
from tests.pictures import encode, noise

PIXELS = 25_000_000
REFUSED = {  # the others are decoded: what makes them large is left out
    "jpeg_empty_scans.jpeg",
    "jpeg_exif_segments.jpeg",
    "jpeg_small_segments.jpeg",
    "png_small_chunks.png",
    "png_small_data.png",
    "png_tall.png",
    "gif_small_blocks.gif",
    "gif_extensions.gif",
    "bmp_runs.bmp",
    "bmp_lines.bmp",
    "tiff_tile.tiff",
    "tiff_strips_again.tiff",
    "tiff_entries.tiff",
    "tiff_rationals.tiff",
    "tiff_jpeg_scans.tiff",
    "tiff_backward_bits.tiff",
    "avif_large_frame.avif",
    "avif_many_extents.avif",
    "webp_canvas.webp",
    "webp_chunks.webp",
}


@pytest.mark.filterwarnings("ignore")  # of Pillow, that Exif is larger than its segment
@pytest.mark.parametrize("name", PICTURES)
def test_hostile_pictures_cost_no_more_than_others(name: str) -> None:
    data = PICTURES[name]()
    begun = time.process_time()
    try:
        decode(data, transform=lambda image: np.asarray(image.crop((0, 0, 1, 1))))
        refused = False
    except ImageError:
        refused = True
    assert time.process_time() - begun < 2.5
    assert refused == (name in REFUSED)


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_large_profile_is_no_reason_to_refuse(file_format: str) -> None:
    data = encode(noise(), file_format, icc_profile=np.random.default_rng(0).bytes(2_000_000))
    assert decode(data).pixels.shape == (32, 32, 3)


@pytest.mark.parametrize(
    "compression", ["raw", "tiff_lzw", "tiff_deflate", "packbits", "jpeg", "zstd", "lzma"]
)
@pytest.mark.parametrize("big", [False, True])
def test_sound_tiffs_stay_sound(compression: str, big: bool) -> None:
    data = encode(noise(0, 300, 200), "TIFF", compression=compression, big_tiff=big, strip_size=2000)
    assert np.abs(decode(data).pixels.astype(int) - noise(0, 300, 200)).mean() < 4


def test_a_tile_larger_than_its_picture_is_sound() -> None:
    packed = zlib.compress(bytes(range(256)) * 256)
    where = [number(322, 256), number(323, 256), number(325, len(packed))]
    start = len(grey(32, 32, *where, number(324, 0), compression=8))
    picture = decode(grey(32, 32, *where, number(324, start), compression=8) + packed)
    assert picture.pixels[0, :, 0].tolist() == list(range(32))


@pytest.mark.parametrize("side", [5001, 20_000, 65_536])
def test_tiles_are_bound_by_the_limit_on_pixels(side: int) -> None:
    data = grey(32, 32, number(322, side), number(323, side), number(324, 8), number(325, 8), compression=8)
    with pytest.raises(ImageTooLargeError, match="tiles"):
        check_structure(data, PIXELS)


def test_tiles_that_are_mostly_beyond_the_picture() -> None:
    data = grey(60_000, 17, number(322, 16), number(323, 20_000), number(324, 8), number(325, 8))
    with pytest.raises(ImageTooLargeError, match="tiles"):
        check_structure(data, PIXELS)


@pytest.mark.parametrize("tag", [256, 257, 322, 323, 277, 258])
@pytest.mark.parametrize("value", [0, 2**32 - 1])
def test_impossible_sizes(tag: int, value: int) -> None:
    entries = {256: 32, 257: 32, 258: 8, 277: 1, 322: 32, 323: 32, 324: 8, 325: 8} | {tag: value}
    with pytest.raises(ImageError):
        decode(tiff(*(number(*entry) for entry in entries.items())))


def test_a_tag_that_is_there_twice() -> None:
    where = [number(322, 32), number(322, 20_000), number(323, 32), number(324, 8), number(325, 8)]
    with pytest.raises(BrokenImageError, match="322"):
        check_structure(grey(32, 32, *where), PIXELS)


def test_directories_of_tags() -> None:
    assert read_tags(tiff(number(274, 6))).number(274, 1) == 6  # type: ignore[union-attr]
    assert read_tags(b"no tags") is None
    with pytest.raises(ImageTooLargeError, match="tags"):
        read_tags(tiff(*[number(40_000, 1)] * (MAX_TAGS + 1)))
    with pytest.raises(ImageTooLargeError, match="fractions"):
        read_tags(tiff((282, RATIONAL, MAX_RATIONALS + 1, bytes(8 * (MAX_RATIONALS + 1)))))
    chain = b"".join(struct.pack("<HHHLLL", 1, 34665, 4, 1, 8 + 18 * place, 0) for place in range(1, 12))
    with pytest.raises(ImageTooLargeError, match="directories"):
        read_tags(b"II*\0\x08\0\0\0" + chain)


def seeds() -> list[bytes]:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    exif.get_ifd(0x8769)[0x829A] = 0.01
    picture, palette = noise(1, 24, 16), Image.fromarray(noise(1, 24, 16)).convert("P")
    found = [encode(picture, kind, exif=exif) for kind in ("PNG", "JPEG", "WEBP")]
    found += [encode(picture, "JPEG", progressive=True), encode(palette, "BMP"), encode(palette, "GIF")]
    found += [encode(picture, "WEBP", lossless=True), encode(palette, transparency=1)]
    found += [encode(picture, "TIFF", compression=kind) for kind in ("raw", "tiff_lzw", "jpeg")]
    return [*found, encode(picture, "TIFF", big_tiff=True), PICTURES["bmp_runs.bmp"]()[:3000]]


@pytest.mark.filterwarnings("ignore")
@settings(derandomize=True, deadline=None, max_examples=1500)
@given(
    st.sampled_from(seeds()),
    st.lists(
        st.tuples(
            st.integers(0, 1500),
            st.sampled_from([1, 2, 4]),
            st.sampled_from(
                [0, 1, 2, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF]
            ),
            st.sampled_from(["little", "big"]),
        ),
        max_size=4,
    ),
    st.integers(0, 1 << 14),
)
def test_changed_files_give_a_picture_or_an_image_error(data: bytes, changes: list[tuple], cut: int) -> None:
    changed = bytearray(data)
    for at, size, value, order in changes:
        changed[at % len(data) : at % len(data) + size] = (value % 256**size).to_bytes(size, order)
    begun = time.process_time()
    try:
        outcome: object = decode(bytes(changed[: cut if cut < len(data) else None]), ImageLimits(1_000_000))
    except ImageError as error:
        outcome = error
    assert isinstance(outcome, DecodedImage | ImageError)
    assert time.process_time() - begun < 2
