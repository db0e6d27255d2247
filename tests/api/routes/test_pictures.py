"""What comes back for pictures as people have them; they are answered by the mean of their grey levels."""

import io
import struct
import zlib
from collections.abc import Callable

import numpy as np
import pytest
from flask.testing import FlaskClient
from PIL import Image

from tests.abuse.pictures import chunk, number, png, tiff
from tests.icc_profiles import matrix_tags, primaries_matrix, profile
from tests.pictures import encode

SIDE, LEVEL = 32, 51  # a fifth of white
GREY = np.full((SIDE, SIDE, 3), LEVEL, np.uint8)
BROKEN_EXIF = b"Exif\0\0no Exif at all"
DISPLAY_P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.3127, 0.3290))


def grey_tiff(dtype: str, level: float, photometric: int = 1, sample_format: int = 1, *more: tuple) -> bytes:
    """A TIFF of one strip of samples that are all the same, behind its directory."""
    samples = np.full((SIDE, SIDE), level).astype(dtype).tobytes()
    bits = 8 * np.dtype(dtype).itemsize
    shape = {256: SIDE, 257: SIDE, 258: bits, 259: 1, 262: photometric, 277: 1, 278: SIDE, 279: len(samples)}
    entries = [*(number(tag, value) for tag, value in shape.items()), number(339, sample_format), *more]
    start = len(tiff(*entries, number(273, 0)))
    return tiff(*sorted([*entries, number(273, start)])) + samples


def text_png(size: int) -> bytes:
    plain = encode(GREY)
    return plain[:33] + chunk(b"zTXt", b"parameters\0\0" + zlib.compress(bytes(size))) + plain[33:]


def png_with(name: bytes, content: bytes) -> bytes:
    plain = encode(GREY)
    return plain[:33] + chunk(name, content) + plain[33:]


def transparent_png() -> bytes:
    """16-bit grey; its one value is transparent, and so it is seen as white."""
    rows = (b"\0" + struct.pack(">H", 1000) * SIDE) * SIDE
    transparent = chunk(b"tRNS", struct.pack(">H", 1000))
    return png(SIDE, SIDE, transparent, chunk(b"IDAT", zlib.compress(rows)), bits=16, colour=0)


def jpeg_of_12_bits() -> bytes:
    data = bytearray(encode(GREY, "JPEG"))
    data[data.index(b"\xff\xc0") + 4] = 12
    return bytes(data)


def heic() -> bytes:
    pillow_heif = pytest.importorskip("pillow_heif")
    pillow_heif.register_heif_opener()
    return encode(GREY, "HEIF", quality=95)


def display_p3_red() -> bytes:
    """Half of Display P3's red: in sRGB about (140, 0, 0), and (128, 0, 0) without its profile."""
    curve = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    icc = profile(b"RGB ", matrix_tags(primaries_matrix(*DISPLAY_P3), curve))
    return encode(Image.new("RGB", (SIDE, SIDE), (128, 0, 0)), "PNG", icc_profile=icc)


READ: dict[str, tuple[Callable[[], bytes], float]] = {
    "AVIF": (lambda: encode(GREY, "AVIF", quality=95), 0.2),
    "HEIC": (heic, 0.2),
    "PNG with 2 MB of compressed text": (lambda: text_png(2_000_000), 0.2),
    "PNG with 100 MB of compressed text": (lambda: text_png(100_000_000), 0.2),
    "PNG with broken Exif": (lambda: png_with(b"eXIf", BROKEN_EXIF), 0.2),
    "PNG with a broken profile": (lambda: png_with(b"iCCP", b"x\0\0broken"), 0.2),
    "PNG without its end": (lambda: encode(GREY)[:-12], 0.2),
    "WebP with broken Exif": (lambda: encode(GREY, "WEBP", lossless=True, exif=BROKEN_EXIF), 0.2),
    "JPEG with broken Exif": (lambda: encode(GREY, "JPEG", exif=BROKEN_EXIF), 0.2),
    "JPEG without its end marker": (lambda: encode(GREY, "JPEG")[:-2], 0.2),
    "progressive JPEG without its end marker": (lambda: encode(GREY, "JPEG", progressive=True)[:-2], 0.2),
    "16-bit PNG with a transparent grey": (transparent_png, 1.0),
    "16-bit TIFF, black is zero": (lambda: grey_tiff("<u2", 13107), 0.2),
    "16-bit TIFF, white is zero": (lambda: grey_tiff("<u2", 65535 - 13107, 0), 0.2),
    "32-bit TIFF": (lambda: grey_tiff("<u4", 858993459), 0.2),
    "floating-point TIFF": (lambda: grey_tiff("<f4", 0.2, 1, 3), 0.2),
    "PNG with a Display P3 profile": (display_p3_red, 140 / 765),
}

REFUSED: dict[str, tuple[Callable[[], bytes], int, str]] = {
    "floating-point TIFF outside 0 to 1": (lambda: grey_tiff("<f4", 51.0, 1, 3), 415, "values from 51 to 51"),
    "floating-point TIFF of what is no number": (lambda: grey_tiff("<f4", np.nan, 1, 3), 422, "not numbers"),
    "signed TIFF": (lambda: grey_tiff("<i2", 51, 1, 2), 415, "signed sample"),
    "DNG": (lambda: grey_tiff("<u2", 51, 32803, 1, number(50706, 1)), 415, "raw file (DNG)"),
    "JPEG of 12 bits": (jpeg_of_12_bits, 415, "of 12 bits a channel"),
    "JPEG that lacks rows": (
        lambda: encode(Image.effect_noise((64, 64), 80), "JPEG")[:-500],
        422,
        "cut short",
    ),
    "RIFF that is no WebP": (lambda: b"RIFF\x24\0\0\0WAVEfmt " + bytes(40), 415, "this is audio"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'/>", 415, "this is SVG"),
    "PDF": (lambda: b"%PDF-1.7\n", 415, "this is PDF"),
    "animated AVIF": (
        lambda: encode(
            Image.fromarray(GREY), "AVIF", save_all=True, append_images=[Image.new("RGB", (32, 32))]
        ),
        415,
        "animated AVIF",
    ),
}


@pytest.mark.parametrize("name", READ)
def test_pictures_that_are_read(name: str, client: FlaskClient) -> None:
    build, expected = READ[name]
    response = client.post("/predict", data=build(), content_type="application/octet-stream")
    assert response.status_code == 200, response.json
    assert response.json["prediction"] == pytest.approx(expected, abs=1.5 / 255)
    assert (response.json["width"], response.json["height"]) == (SIDE, SIDE)


@pytest.mark.parametrize("name", REFUSED)
def test_pictures_that_are_refused(name: str, client: FlaskClient) -> None:
    build, status, words = REFUSED[name]
    response = client.post("/predict", data=build(), content_type="application/octet-stream")
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert words in response.json["detail"]


def test_a_batch_tells_the_same_reasons(client: FlaskClient) -> None:
    files = [(io.BytesIO(build()), f"{at}.bin") for at, (build, _, _) in enumerate(REFUSED.values())]
    response = client.post("/batch?team=x", data={"files": files})
    assert response.status_code == 422
    reasons = {row["image_id"]: row["error"] for row in response.json["unreadable"]}
    for at, (_, _, words) in enumerate(REFUSED.values()):
        assert words in reasons[f"{at}.bin"]
