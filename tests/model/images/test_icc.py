import io
import struct
import threading
import time
import zlib
from collections.abc import Iterator

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, features

from model.images import icc
from model.images.convert import to_rgb
from model.images.decode import decode
from model.images.icc import MAX_PROFILE_BYTES, MAX_UNPACKED_BYTES, read_icc_profile, srgb_transform
from tests.abuse.pictures import chunk, segment
from tests.icc_profiles import (
    DISPLAY_P3,
    PRESS,
    SPACES,
    SRGB_CURVE,
    SRGB_MATRIX,
    encoded,
    grey_profile,
    in_srgb,
    inks,
    lab_in_srgb,
    matrix_tags,
    profile,
    table_profile,
    to_linear,
)
from tests.pictures import encode, noise

pytestmark = pytest.mark.skipif(not features.check("littlecms2"), reason="Pillow was built without LittleCMS")

FORMATS = [
    pytest.param("PNG", {}, id="PNG"),
    pytest.param("JPEG", {"quality": 95}, id="JPEG"),
    pytest.param("JPEG", {"progressive": True}, id="progressive JPEG"),
    pytest.param("WEBP", {}, id="WebP"),
    pytest.param("WEBP", {"lossless": True}, id="lossless WebP"),
    pytest.param("TIFF", {}, id="TIFF"),
    pytest.param("TIFF", {"compression": "tiff_lzw"}, id="TIFF, LZW"),
    pytest.param(
        "AVIF", {}, id="AVIF", marks=pytest.mark.skipif(not features.check("avif"), reason="without libavif")
    ),
]
GREY = noise(3)[..., 0]
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()


def pixels_of(data: bytes) -> np.ndarray:
    return decode(data).pixels.astype(int)


@pytest.mark.parametrize("space", SPACES)
@pytest.mark.parametrize(("file_format", "options"), FORMATS)
def test_colours_are_brought_to_srgb(space: str, file_format: str, options: dict) -> None:
    """By the same colours as without a profile: what compression does to them does not count."""
    contents = profile(b"RGB ", matrix_tags(*SPACES[space]))
    plain = pixels_of(encode(noise(), file_format, **options))
    pixels = pixels_of(encode(noise(), file_format, **options, icc_profile=contents))
    assert np.abs(pixels - in_srgb(plain, *SPACES[space])).max() <= 1
    assert np.abs(pixels - plain).max() > 10


RGBA = Image.fromarray(np.dstack([noise(), noise(2)[..., 0]]))


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGBA", "LA", "PA"])
def test_an_rgb_profile_in_every_mode(mode: str) -> None:
    """The colours are converted before the picture is laid over white."""
    image = RGBA.convert("LA" if mode == "PA" else mode).convert(mode)
    levels = np.asarray(image.convert("RGBA")).astype(float)
    space, alpha = SPACES["Adobe RGB"], levels[..., 3:] / 255
    shown = in_srgb(levels[..., :3], *space) * alpha + 255 * (1 - alpha)
    contents = profile(b"RGB ", matrix_tags(*space))
    pixels = pixels_of(encode(image, "TIFF" if mode == "PA" else "PNG", icc_profile=contents))
    assert np.abs(pixels - shown).max() <= 2


@pytest.mark.parametrize("gamma", [1.8, 2.6])
@pytest.mark.parametrize("mode", ["L", "LA", "I;16"])
def test_a_grey_profile(mode: str, gamma: float) -> None:
    image, alpha = Image.fromarray(GREY), 1.0
    if mode == "I;16":
        image = Image.fromarray(GREY.astype(np.uint16) * 257)
    elif mode == "LA":
        image.putalpha(128)
        alpha = 128 / 255
    shown = encoded(to_linear(GREY, (gamma,)))[..., None] * alpha + 255 * (1 - alpha)
    pixels = pixels_of(encode(image, icc_profile=grey_profile((gamma,))))
    assert np.abs(pixels - shown).max() <= 2
    assert (pixels == pixels[..., :1]).all()


@pytest.mark.parametrize("file_format", ["JPEG", "TIFF"])
def test_the_profile_of_a_press(file_format: str) -> None:
    corners = np.array(list(np.ndindex(2, 2, 2, 2)))
    blocks = np.kron(corners.reshape(4, 4, 4) * 255, np.ones((8, 8, 1))).astype(np.uint8)
    image = Image.frombytes("CMYK", (32, 32), blocks.tobytes())
    pixels = pixels_of(encode(image, file_format, icc_profile=PRESS))
    assert np.abs(pixels[4::8, 4::8] - lab_in_srgb(inks(corners)).reshape(4, 4, 3)).max() <= 2
    assert np.abs(pixels - pixels_of(encode(image, file_format))).max() > 40


@pytest.mark.parametrize("contents", [SRGB, profile(b"RGB ", matrix_tags(SRGB_MATRIX, SRGB_CURVE))])
@pytest.mark.parametrize(("file_format", "options"), FORMATS)
def test_srgb_itself_changes_nothing(file_format: str, options: dict, contents: bytes) -> None:
    assert srgb_transform(contents, "RGB") is None
    pixels = pixels_of(encode(noise(), file_format, **options, icc_profile=contents))
    np.testing.assert_array_equal(pixels, pixels_of(encode(noise(), file_format, **options)))


RGB_TAGS = matrix_tags(*SPACES["ProPhoto"])
NOT_APPLIED = {
    "empty": b"",
    "junk": np.random.default_rng(0).bytes(3000),
    "header only": DISPLAY_P3[:128],
    "no tags": profile(b"RGB ", {}),
    "cut short in its tags": DISPLAY_P3[:200],
    "without a colorant": profile(b"RGB ", {name: tag for name, tag in RGB_TAGS.items() if name != b"gXYZ"}),
    "without a curve": profile(b"RGB ", {name: tag for name, tag in RGB_TAGS.items() if name != b"bTRC"}),
    "a device link": profile(b"RGB ", RGB_TAGS, b"link"),
    "named colours": profile(b"RGB ", RGB_TAGS, b"nmcl"),
    "another signature": DISPLAY_P3.replace(b"acsp", b"ascp"),
    "of grey": grey_profile((1.8,)),
    "of inks": PRESS,
    "of Lab": profile(b"Lab ", RGB_TAGS),
    "too large": DISPLAY_P3 + bytes(MAX_PROFILE_BYTES),
}


@pytest.mark.parametrize("contents", NOT_APPLIED.values(), ids=NOT_APPLIED)
@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_a_profile_that_does_not_apply_is_ignored(file_format: str, contents: bytes) -> None:
    pixels = pixels_of(encode(noise(), file_format, icc_profile=contents))
    np.testing.assert_array_equal(pixels, pixels_of(encode(noise(), file_format)))


@pytest.mark.parametrize("contents", [DISPLAY_P3, grey_profile((1.8,))])
@pytest.mark.parametrize("mode", ["CMYK", "LAB"])
def test_profiles_of_other_colours_are_ignored(mode: str, contents: bytes) -> None:
    image = Image.fromarray(noise()).convert(mode)
    pixels = pixels_of(encode(image, "TIFF", icc_profile=contents))
    np.testing.assert_array_equal(pixels, pixels_of(encode(image, "TIFF")))


def jpeg_of(*parts: tuple[int, int, bytes], first: bytes = b"") -> bytes:
    """A JPEG with segments of a profile: number, count and content."""
    data = encode(noise(), "JPEG")
    segments = [segment(0xE2, b"ICC_PROFILE\0" + bytes(part[:2]) + part[2]) for part in parts]
    return data[:2] + first + b"".join(segments) + data[2:]


HALVES = DISPLAY_P3[:200], DISPLAY_P3[200:]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (jpeg_of((1, 1, DISPLAY_P3)), True),
        (jpeg_of((1, 2, HALVES[0]), (2, 2, HALVES[1])), True),
        (jpeg_of((2, 2, HALVES[1]), (1, 2, HALVES[0])), True),
        (jpeg_of((1, 1, DISPLAY_P3), first=segment(0xE2, b"MPF\0") + segment(0xE1, b"Exif\0\0")), True),
        (jpeg_of((1, 2, DISPLAY_P3)), False),
        (jpeg_of((0, 1, DISPLAY_P3)), False),
        (jpeg_of((2, 2, HALVES[1]), (3, 2, HALVES[0])), False),
        (jpeg_of(first=segment(0xE2, b"ICC_PROFILE\0")), False),
        (jpeg_of(first=segment(0xE1, b"Exif\0\0" + jpeg_of((1, 1, DISPLAY_P3)))), False),  # of its thumbnail
        (encode(noise(), "JPEG") + jpeg_of((1, 1, DISPLAY_P3)), False),
        (jpeg_of(*((number, 90, bytes(60_000)) for number in range(1, 91))), False),
    ],
)
def test_segments_of_a_jpeg(data: bytes, found: bool) -> None:
    assert read_icc_profile(data) == (DISPLAY_P3 if found else None)


def test_a_large_profile_of_a_jpeg() -> None:
    contents = DISPLAY_P3 + bytes(MAX_PROFILE_BYTES - len(DISPLAY_P3))
    data = encode(noise(), "JPEG", icc_profile=contents)
    assert read_icc_profile(data) == contents
    np.testing.assert_array_equal(decode(data).pixels, decode(jpeg_of((1, 1, DISPLAY_P3))).pixels)


def png_of(content: bytes, at: int = 33) -> bytes:
    """A PNG with a chunk iCCP."""
    data = encode(noise())
    return data[:at] + chunk(b"iCCP", content) + data[at:]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (png_of(b"Display P3\0\0" + zlib.compress(DISPLAY_P3)), True),
        (png_of(b"\0\0" + zlib.compress(DISPLAY_P3)), True),
        (png_of(b"x\0\0" + zlib.compress(DISPLAY_P3)[:-5]), True),  # without the checksum
        (
            png_of(b"x\0\0" + zlib.compress(DISPLAY_P3), at=len(encode(noise())) - 12),
            False,
        ),  # after the pixels
        (png_of(b"x\0\0" + DISPLAY_P3), False),
        (png_of(b"x\0\0"), False),
        (png_of(b""), False),
        (png_of(b"x\0\0" + zlib.compress(DISPLAY_P3 + bytes(MAX_UNPACKED_BYTES))), False),
        (png_of(b"x\0\0" + zlib.compress(DISPLAY_P3))[:60], False),
    ],
)
def test_the_chunk_of_a_png(data: bytes, found: bool) -> None:
    assert (read_icc_profile(data) or None) == (DISPLAY_P3 if found else None)


def test_other_files_have_no_profile_to_read() -> None:
    for data in (b"", b"GIF89a", encode(noise(), "GIF"), encode(noise(), "TIFF", icc_profile=DISPLAY_P3)):
        assert read_icc_profile(data) is None


def elements(count: int) -> bytes:
    """multiProcessElementsType (section 10.16) of elements that are all the same identity matrix."""
    matrix = b"matf\0\0\0\0" + struct.pack(">HH12f", 3, 3, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0)
    place = struct.pack(">LL", 16 + 8 * count, len(matrix))
    return b"mpet\0\0\0\0" + struct.pack(">HHL", 3, 3, count) + place * count + matrix


def large_table() -> bytes:
    """lut16Type of random colours, as large as is allowed."""
    grid = 87
    head = b"mft2\0\0\0\0" + bytes([3, 3, grid, 0])
    head += struct.pack(">9lHH", *[65536 * (at % 4 == 0) for at in range(9)], 2, 2)
    return head + struct.pack(">HH", 0, 65535) * 6 + np.random.default_rng(0).bytes(6 * grid**3)


@pytest.mark.parametrize(
    "contents",
    [
        pytest.param(profile(b"RGB ", {b"D2B0": elements(400_000), **RGB_TAGS}), id="elements"),
        pytest.param(profile(b"RGB ", {b"A2B0": large_table()}, b"prtr", b"Lab ", 2), id="table"),
        pytest.param(table_profile(b"RGB ", 3, lambda rgb: rgb @ np.diag([30, 9, 9])), id="small table"),
    ],
)
def test_a_hostile_profile_takes_bounded_time(contents: bytes) -> None:
    """The elements take LittleCMS minutes: 3 s for 4,000 of them."""
    assert len(contents) <= MAX_PROFILE_BYTES
    data = encode(noise(), "JPEG", icc_profile=contents)
    begun = time.process_time()
    assert decode(data).pixels.shape == (32, 32, 3)
    assert time.process_time() - begun < 1


def test_tags_that_are_not_used_change_nothing() -> None:
    used = profile(b"RGB ", RGB_TAGS)
    tags = {b"D2B0": elements(3), b"desc": bytes(40), b"B2A0": bytes(40), b"gamt": b"", **RGB_TAGS}
    pixels = pixels_of(encode(noise(), icc_profile=profile(b"RGB ", tags)))
    np.testing.assert_array_equal(pixels, pixels_of(encode(noise(), icc_profile=used)))


def mutations() -> Iterator[bytes]:
    yield from (DISPLAY_P3, PRESS, grey_profile((1.8,)), profile(b"RGB ", RGB_TAGS), SRGB)
    yield table_profile(b"RGB ", 3, lambda rgb: rgb @ np.diag([90, 20, 20]))


@settings(derandomize=True, deadline=None, max_examples=120)
@given(
    st.sampled_from(list(mutations())),
    st.lists(
        st.tuples(
            st.integers(0, 1000),
            st.sampled_from([1, 2, 4]),
            st.sampled_from([0, 1, 2, 3, 4, 33, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0xFFFFFFFF]),
        ),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 1000),
)
def test_a_damaged_profile_never_breaks_a_picture(
    contents: bytes, changes: list[tuple[int, int, int]], cut: int
) -> None:
    changed = bytearray(contents)
    for at, size, value in changes:
        changed[at % len(contents) : at % len(contents) + size] = (value % 256**size).to_bytes(size)
    damaged = bytes(changed[: cut if cut < len(contents) else None])
    image = Image.fromarray(noise(0, 16, 16))
    space = {b"GRAY": "L", b"CMYK": "CMYK"}.get(contents[16:20], "RGB")
    begun = time.process_time()
    assert decode(encode(image.convert(space), "TIFF", icc_profile=damaged)).pixels.shape == (16, 16, 3)
    assert time.process_time() - begun < 1


def test_transforms_are_kept_and_shared_by_threads() -> None:
    assert srgb_transform(DISPLAY_P3, "RGB") is srgb_transform(bytes(bytearray(DISPLAY_P3)), "RGBA")
    data = encode(noise(0, 300, 300), icc_profile=DISPLAY_P3)
    whole = decode(data).pixels
    results: list[np.ndarray] = []
    icc._transform.cache_clear()
    threads = [threading.Thread(target=lambda: results.append(decode(data).pixels)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 8
    assert all((pixels == whole).all() for pixels in results)


def test_without_littlecms_the_pixels_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    class Absent:
        def __getattr__(self, name: str) -> object:
            raise ImportError("the _imagingcms C module is not installed")

    data, plain = encode(noise(), icc_profile=DISPLAY_P3), encode(noise())
    icc._transform.cache_clear()
    with monkeypatch.context() as context:
        context.setattr(ImageCms, "core", Absent())
        np.testing.assert_array_equal(pixels_of(data), pixels_of(plain))
    icc._transform.cache_clear()
    assert (pixels_of(data) != pixels_of(plain)).any()


@pytest.mark.parametrize("file_format", ["WEBP", "TIFF"])
def test_the_profile_in_an_image_counts(file_format: str) -> None:
    data = encode(noise(), file_format, icc_profile=DISPLAY_P3)
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(to_rgb(image)), decode(data).pixels)
