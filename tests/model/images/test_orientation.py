import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.images.decode import decode
from model.images.orientation import NORMAL, read_orientation
from tests.pictures import encode, noise

FORMATS = ["PNG", "JPEG", "WEBP", "TIFF", "AVIF"]
PICTURE = noise(3, 40, 24)
TURNED = {
    1: PICTURE,
    2: PICTURE[:, ::-1],
    3: PICTURE[::-1, ::-1],
    4: PICTURE[::-1],
    5: PICTURE.transpose(1, 0, 2),
    6: PICTURE[::-1].transpose(1, 0, 2),
    7: PICTURE[::-1, ::-1].transpose(1, 0, 2),
    8: PICTURE[:, ::-1].transpose(1, 0, 2),
}


def exif_with(orientation: object) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("file_format", FORMATS)
@pytest.mark.parametrize("orientation", TURNED)
def test_pictures_are_turned(file_format: str, orientation: int) -> None:
    lossless = {"WEBP": {"lossless": True}, "JPEG": {"quality": 100, "subsampling": 0}}
    lossless["AVIF"] = {"quality": 100, "subsampling": "4:4:4"}
    options = lossless.get(file_format, {})
    data = encode(PICTURE, file_format, exif=exif_with(orientation), **options)
    picture = decode(data)
    expected = TURNED[orientation]
    assert picture.pixels.shape == expected.shape
    assert (picture.height, picture.width) == expected.shape[:2]
    assert np.abs(picture.pixels.astype(int) - expected).mean() < 2


@pytest.mark.parametrize("file_format", ["PNG", "JPEG", "WEBP"])
def test_xmp_tells_it_where_exif_does_not(file_format: str) -> None:
    for text in (b'<x tiff:Orientation="6"/>', b"<tiff:Orientation>6</tiff:Orientation>"):
        options = {"xmp": text} if file_format != "PNG" else {}
        data = encode(PICTURE, file_format, **options)
        if file_format == "PNG":
            from tests.abuse.pictures import chunk

            data = data[:33] + chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + text) + data[33:]
        assert decode(data).pixels.shape == (40, 24, 3)


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_impossible_orientation_is_ignored(orientation: int) -> None:
    assert read_orientation(exif_with(orientation).tobytes()) == NORMAL


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=200), st.integers(0, 60), st.binary(max_size=20))
def test_damaged_exif_gives_an_orientation(junk: bytes, at: int, change: bytes) -> None:
    sound = exif_with(6).tobytes()
    for data in (junk, sound[:at] + change + sound[at + len(change) :], sound[:at]):
        assert 1 <= read_orientation(data, junk) <= 8


METADATA = st.one_of(
    st.binary(max_size=300),
    st.binary(max_size=60).map(lambda junk: b"Exif\0\0II*\0\x08\0\0\0" + junk),
    st.just(b"MM\0*\0\0\0\x08\xff\xff" + bytes(65_000)),
    st.just(b"II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\0\0\0\0"),  # a directory within itself
)


@settings(derandomize=True, deadline=None, max_examples=150)
@given(METADATA, METADATA, METADATA)
@pytest.mark.filterwarnings("ignore")  # of Pillow while the test encodes
def test_whatever_metadata_is_broken_the_pixels_decide(exif: bytes, xmp: bytes, profile: bytes) -> None:
    for file_format in ("PNG", "JPEG", "WEBP"):
        options = {"exif": exif, "icc_profile": profile, "xmp": xmp}
        plain, data = encode(PICTURE, file_format), encode(PICTURE, file_format, **options)
        np.testing.assert_array_equal(decode(data).pixels, decode(plain).pixels)
