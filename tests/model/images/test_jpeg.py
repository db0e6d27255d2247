import io

import numpy as np
import pytest
from PIL import Image

from model.images.decode import decode
from model.images.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError
from model.images.jpeg import MAX_SCANS, MAX_SEGMENTS, read_jpeg
from tests.pictures import encode, noise


def pixels(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def segment(marker: int, content: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(content) + 2).to_bytes(2) + content


@pytest.mark.parametrize(
    "options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}, {"quality": 100}]
)
def test_a_jpeg_without_its_metadata_has_the_same_pixels(options: dict) -> None:
    for mode in ("RGB", "L", "CMYK"):
        image = Image.fromarray(noise(3, 90, 70)).convert(mode)
        plain = encode(image, "JPEG", icc_profile=bytes(200_000), comment=b"x" * 1000, **options)
        jpeg = read_jpeg(plain)
        assert len(jpeg.stripped) < len(plain) - 200_000
        assert jpeg.pixels == 6300
        assert len(jpeg.scans) >= 1
        np.testing.assert_array_equal(pixels(jpeg.stripped), pixels(plain))


def test_metadata_in_many_segments_is_left_out() -> None:
    data = encode(noise(), "JPEG")
    many = data[:2] + segment(0xE1, b"Exif\0\0" + bytes(200)) * 1000 + data[2:]
    assert len(read_jpeg(many).stripped) < len(data) + 1000


def test_more_parts_than_a_picture_needs() -> None:
    jpeg = encode(noise(), "JPEG")
    with pytest.raises(ImageTooLargeError, match="segments"):
        read_jpeg(jpeg[:2] + segment(0xFE, b"") * (MAX_SEGMENTS + 1) + jpeg[2:])
    progressive = encode(noise(), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    assert len(read_jpeg(progressive).scans) <= 12
    with pytest.raises(ImageTooLargeError, match="scans"):
        read_jpeg(progressive[:-2] + scan * MAX_SCANS + progressive[-2:])


@pytest.mark.parametrize("marker", [0x02, 0xBF, 0xC8, 0xF0])
def test_reserved_markers_hide_no_segments(marker: int) -> None:
    """Decoders take them to have no length: what looks like theirs is read as segments."""
    jpeg = encode(noise(), "JPEG")
    hidden = (
        bytes([0xFF, marker])
        + (60_000).to_bytes(2)
        + segment(0xE1, b"Exif\0\0" + bytes(200)) * (MAX_SEGMENTS + 1)
    )
    with pytest.raises(ImageTooLargeError, match="segments"):
        read_jpeg(jpeg[:2] + hidden + jpeg[2:])
    progressive = encode(noise(), "JPEG", progressive=True)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    hidden = bytes([0xFF, marker]) + (60_000).to_bytes(2) + scan * MAX_SCANS
    with pytest.raises(ImageTooLargeError, match="scans"):
        read_jpeg(progressive[:-2] + hidden + progressive[-2:])


ENCODERS = [
    {},
    {"progressive": True},
    {"subsampling": 0, "quality": 95},
    {"restart_marker_blocks": 3},
    {"optimize": True, "quality": 30},
]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("size", [(32, 32), (203, 151), (1, 9)])
def test_a_missing_end_marker_takes_nothing_away(mode: str, options: dict, size: tuple[int, int]) -> None:
    data = encode(Image.fromarray(noise(1, *size)).convert(mode), "JPEG", **options)
    whole = decode(data).pixels
    for cut in (data[:-2], data[:-1], data[:-2] + bytes(100)):
        np.testing.assert_array_equal(decode(cut).pixels, whole)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("options", ENCODERS)
def test_missing_rows_are_told(mode: str, options: dict) -> None:
    """The last few bytes may be those of one block; a file that lacks more of them is not taken for whole."""
    data = encode(Image.fromarray(noise(1, 203, 151)).convert(mode), "JPEG", **options)
    scan = data.index(b"\xff\xda") + 14
    for length in range(scan, len(data) - 30, 7):
        with pytest.raises(BrokenImageError, match="cut short or damaged"):
            decode(data[:length])


def test_missing_scans_are_told() -> None:
    data = encode(noise(1, 203, 151), "JPEG", progressive=True)
    starts = [at for at in range(len(data)) if data.startswith(b"\xff\xda", at)]
    assert len(starts) > 5
    for end in starts[1:]:
        with pytest.raises(BrokenImageError, match="rows at its end are missing"):
            decode(data[:end])


@pytest.mark.parametrize(
    ("at", "value", "words"),
    [
        (4, 12, "of 12 bits a channel"),
        (4, 16, "of 16 bits a channel"),
        (1, 0xC5, "with the coding process SOF5"),
        (1, 0xCB, "with the coding process SOF11"),
        (9, 2, "of 2 channels"),
    ],
)
def test_whole_files_that_are_not_supported(at: int, value: int, words: str) -> None:
    data = bytearray(encode(noise(), "JPEG"))
    data[data.index(b"\xff\xc0") + at] = value
    with pytest.raises(UnsupportedImageError, match=words):
        decode(bytes(data))


@pytest.mark.parametrize("options", ENCODERS)
@pytest.mark.parametrize("size", [(1000, 800), (803, 601), (400, 1601)])
def test_a_fraction_of_the_size_is_the_average_of_the_pixels(options: dict, size: tuple[int, int]) -> None:
    data = encode(noise(2, *size), "JPEG", **options)
    whole, reduced = decode(data), decode(data, min_side=200)
    fraction = next(fraction for fraction in (4, 2, 1) if min(size) >= 200 * fraction)
    assert reduced.pixels.shape[:2] == (-(-size[1] // fraction), -(-size[0] // fraction))
    assert (reduced.width, reduced.height) == (whole.width, whole.height) == size
    small = [
        np.asarray(Image.fromarray(picture.pixels).resize((32, 32), Image.Resampling.BILINEAR)).astype(int)
        for picture in (whole, reduced)
    ]
    assert np.abs(small[0] - small[1]).max() <= 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_fraction_of_a_turned_picture(orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = encode(noise(2, 900, 600), "JPEG", exif=exif)
    whole, reduced = decode(data), decode(data, min_side=100)
    assert (whole.width, whole.height) == ((600, 900) if orientation > 4 else (900, 600))
    assert (reduced.width, reduced.height) == (whole.width, whole.height)
    expected = np.asarray(Image.fromarray(whole.pixels).reduce(4)).astype(int)
    assert np.abs(expected - reduced.pixels).mean() < 2


def test_no_other_format_is_reduced() -> None:
    for kind in ("PNG", "WEBP", "TIFF"):
        assert decode(encode(noise(2, 400, 400), kind), min_side=50).pixels.shape == (400, 400, 3)
