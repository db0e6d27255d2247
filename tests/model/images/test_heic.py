import sys

import numpy as np
import pytest
from PIL import Image

from model.images.decode import ImageLimits, decode
from model.images.errors import BrokenImageError, ImageTooLargeError, UnsupportedImageError
from tests.pictures import encode, noise

HEADER = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"


def heic(picture: np.ndarray, **options: object) -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    if not pillow_heif.libheif_info()["encoders"]:
        pytest.skip("this build of libheif encodes nothing")
    pillow_heif.register_heif_opener()
    return encode(Image.fromarray(picture), "HEIF", quality=95, **options)


def test_without_the_package_the_answer_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(UnsupportedImageError, match="this is HEIC, .* pillow-heif"):
        decode(HEADER + bytes(100))


def test_heic_is_read() -> None:
    """Its Exif orientation counts for nothing: the decoder rotates a picture by other properties."""
    picture = noise(4, 96, 64)
    exif = Image.Exif()
    exif[0x0112] = 6
    for data in (heic(picture), heic(picture, exif=exif)):
        decoded = decode(data)
        assert (decoded.width, decoded.height) == (96, 64)
        assert np.abs(decoded.pixels.astype(int) - picture).mean() < 4


def test_limits_hold() -> None:
    data = heic(noise(4, 96, 64))
    with pytest.raises(ImageTooLargeError, match="96x64"):
        decode(data, ImageLimits(pixels=5000))
    with pytest.raises((BrokenImageError, UnsupportedImageError)):
        decode(data[: len(data) // 2])
