import io
import zlib

import numpy as np
import pytest
from PIL import Image

from model.images.decode import decode
from model.images.errors import UnsupportedImageError
from model.images.png import MAX_CHUNKS, MAX_TEXT_BYTES, read_png
from tests.abuse.pictures import chunk, png
from tests.pictures import encode, noise


def stored(data: bytes) -> np.ndarray:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def test_a_png_without_its_metadata_has_the_same_pixels() -> None:
    for mode in ("1", "L", "P", "RGB", "RGBA", "LA"):
        info = {"icc_profile": bytes(50_000), "dpi": (72, 72)}
        data = encode(Image.fromarray(noise(2, 60, 40)).convert(mode), **info)
        stripped = read_png(data).stripped
        assert b"iCCP" in data
        assert b"iCCP" not in stripped
        np.testing.assert_array_equal(stored(stripped), stored(data))


@pytest.mark.parametrize("default", [False, True])
def test_of_an_apng_the_first_frame_stays(default: bool) -> None:
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    data = encode(frames[0], save_all=True, append_images=frames[1:], default_image=default)
    assert b"acTL" in data
    assert tuple(decode(data).pixels[0, 0]) == (255, 0, 0)


def test_the_orientation_in_a_pngs_texts_stays() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    raw = b"Exif\0\0" + exif.tobytes()[6:]
    profile = f"\nexif\n{len(raw):8}\n{raw.hex()}\n".encode()
    texts = [
        chunk(b"zTXt", b"Raw profile type exif\0\0" + zlib.compress(profile)),
        chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + b'<x tiff:Orientation="6"/>'),
        chunk(b"eXIf", exif.tobytes()[6:]),
    ]
    plain = encode(noise(0, 40, 20))
    for text in texts:
        for at in (33, len(plain) - 12):  # before the pixels, and after them
            picture = decode(plain[:at] + text + plain[at:])
            assert (picture.width, picture.height) == (20, 40)


def test_many_chunks_of_pixels_are_sound() -> None:
    rows = zlib.compress(bytes(97 * 32), 0)
    data = png(32, 32, *(chunk(b"IDAT", rows[at : at + 1]) for at in range(len(rows))))
    assert len(rows) < MAX_CHUNKS
    assert decode(data).pixels.sum() == 0


@pytest.mark.parametrize(
    "keyword", [b"parameters", b"Comment", b"XML:com.adobe.xmp", b"Raw profile type exif"]
)
@pytest.mark.parametrize("kind", [b"tEXt", b"zTXt", b"iTXt"])
@pytest.mark.parametrize("size", [2_000_000, 20_000_000])
def test_a_large_text_is_no_reason_to_refuse(keyword: bytes, kind: bytes, size: int) -> None:
    """AI tools write such."""
    text = bytes(size)
    content = {
        b"tEXt": keyword + b"\0" + text[:2_000_000],
        b"zTXt": keyword + b"\0\0" + zlib.compress(text),
        b"iTXt": keyword + b"\0\1\0\0\0" + zlib.compress(text),
    }[kind]
    plain = encode(noise())
    for at in (33, len(plain) - 12):
        picture = decode(plain[:at] + chunk(kind, content) + plain[at:])
        np.testing.assert_array_equal(picture.pixels, noise())
        assert len(read_png(plain[:at] + chunk(kind, content) + plain[at:]).xmp) <= MAX_TEXT_BYTES


def test_apples_own_png_is_not_supported() -> None:
    plain = encode(noise())
    with pytest.raises(UnsupportedImageError, match="CgBI"):
        decode(plain[:8] + chunk(b"CgBI", bytes(4)) + plain[8:])


def test_a_png_that_lacks_its_end() -> None:
    plain = encode(noise())
    text = chunk(b"tEXt", b"Comment\0" + bytes(100))
    for cut in (plain[:-12], plain[:-12] + text, plain[:-12] + text[:50]):
        np.testing.assert_array_equal(decode(cut).pixels, noise())
