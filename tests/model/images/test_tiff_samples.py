import io
import itertools
import re
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from model.images.decode import decode
from model.images.errors import BrokenImageError, UnsupportedImageError
from tests.abuse.pictures import BYTE, LONG, SHORT, Entry, grey, number, tiff
from tests.icc_profiles import lab_in_srgb
from tests.pictures import encode, noise

HEIGHT, WIDTH, ROWS = 13, 9, 4
UNCOMPRESSED, LZW, DEFLATE = 1, 5, 8
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE, CMYK, YCBCR, CIELAB = 0, 1, 2, 3, 5, 6, 8
OTHER, PREMULTIPLIED, ALPHA = 0, 1, 2  # kinds of extra samples
FORMATS = {"u": 1, "i": 2, "f": 3, "c": 6}


def tiff_of(
    samples: np.ndarray,
    photometric: int,
    *entries: Entry,
    order: str = "<",
    compression: int = UNCOMPRESSED,
    planes: bool = False,
    big: bool = False,
    bits: int = 0,
) -> bytes:
    """A TIFF of samples (H, W, channels) in strips of ROWS rows: TIFF 6.0; BigTIFF; technical note 2.

    bits: of a sample, where it has fewer than the array's type. entries: of SHORT numbers, additional.
    """
    channels = samples.shape[2]
    parts = [samples[:, :, [at]] for at in range(channels)] if planes else [samples]
    strips = []
    for part, top in itertools.product(parts, range(0, len(samples), ROWS)):
        rows = part[top : top + ROWS].reshape(len(part[top : top + ROWS]), -1)
        if bits:
            digits = np.unpackbits(rows.astype(">u2").view(np.uint8).reshape(*rows.shape, 2), axis=2)
            strip = b"".join(np.packbits(row[:, 16 - bits :]).tobytes() for row in digits)
        else:
            strip = rows.astype(rows.dtype.newbyteorder(order)).tobytes()
        strips.append(zlib.compress(strip) if compression == DEFLATE else strip)
    numbers = {
        256: [samples.shape[1]],
        257: [samples.shape[0]],
        258: [bits or 8 * samples.itemsize] * channels,
        259: [compression],
        262: [photometric],
        273: [0] * len(strips),
        277: [channels],
        278: [ROWS],
        279: [len(strip) for strip in strips],
        284: [2 if planes else 1],
        339: [FORMATS[samples.dtype.kind]] * channels,
    }
    numbers |= {tag: list(struct.unpack(f"<{count}H", value)) for tag, _, count, value in entries}
    start = 16 if big else 8
    after = len(_directory(numbers, order, big, start)) + start
    numbers[273] = [after + sum(map(len, strips[:at])) for at in range(len(strips))]
    head = (b"II" if order == "<" else b"MM") + struct.pack(order + ("HHHQ" if big else "HL"), *HEADS[big])
    return head + _directory(numbers, order, big, start) + b"".join(strips)


HEADS = {False: (42, 8), True: (43, 8, 0, 16)}


def _directory(numbers: dict[int, list[int]], order: str, big: bool, start: int) -> bytes:
    size, inline, head, entry = (20, 8, "Q", "HHQ") if big else (12, 4, "H", "HHL")
    table, values = struct.pack(order + head, len(numbers)), b""
    after = start + len(table) + size * len(numbers) + inline
    for tag, content in sorted(numbers.items()):
        kind, code = (LONG, "L") if tag in (273, 279) else (SHORT, "H")
        value = struct.pack(f"{order}{len(content)}{code}", *content)
        table += struct.pack(order + entry, tag, kind, len(content))
        if len(value) > inline:
            table += struct.pack(order + ("Q" if big else "L"), after + len(values))
            values += value + bytes(len(value) % 2)
        else:
            table += value.ljust(inline, b"\0")
    return table + bytes(inline) + values


def short(tag: int, *values: int) -> Entry:
    return tag, SHORT, len(values), struct.pack(f"<{len(values)}H", *values)


def random_samples(dtype: str, channels: int, bits: int = 0) -> np.ndarray:
    """(HEIGHT, WIDTH, channels), with black and white among them; floating-point numbers are from 0 to 1."""
    values = np.random.default_rng(0).random((HEIGHT, WIDTH, channels))
    values[0, 0], values[0, 1] = 0, 1
    kind = np.dtype(dtype)
    if kind.kind == "f":
        return values.astype(kind)
    most = min((1 << bits) - 1 if bits else np.iinfo(kind).max, 2**32 - 1)
    return np.rint(values * most).astype(kind)


def shown(samples: np.ndarray, photometric: int, extra: int | None = None, bits: int = 0) -> np.ndarray:
    """The levels (H, W, 3) that a reader has to show, by TIFF 6.0."""
    most = (1 << bits) - 1 if bits else 1 if samples.dtype.kind == "f" else np.iinfo(samples.dtype).max
    values = samples.astype(float) / most
    alpha = values[..., -1:] if extra in (ALPHA, PREMULTIPLIED) else 1.0
    colours = values if extra is None else values[..., :-1]
    if photometric == CMYK:
        colours = (1 - colours[..., :3]) * (1 - colours[..., 3:])
    elif photometric == WHITE_IS_ZERO:
        colours = 1 - colours
    weighted = colours if extra == PREMULTIPLIED else colours * alpha
    return np.broadcast_to(255 * np.clip(weighted + 1 - alpha, 0, 1), (*samples.shape[:2], 3))


GREYS = (WHITE_IS_ZERO, BLACK_IS_ZERO)
GREY_TYPES = ("u1", "u2", "u4", "u8", "i1", "i2", "i4", "f2", "f4", "f8")
EXTRAS = (OTHER, PREMULTIPLIED, ALPHA)
KINDS = [
    *[(photometric, dtype, 1, None) for photometric in GREYS for dtype in GREY_TYPES],
    *[(photometric, dtype, 2, extra) for photometric in GREYS for dtype in ("u1", "u2") for extra in EXTRAS],
    *[(RGB, dtype, 3, None) for dtype in ("u1", "u2", "u4", "f2", "f4", "f8", "i1", "i2", "c8")],
    *[(RGB, dtype, 4, extra) for dtype in ("u1", "u2", "f4") for extra in EXTRAS],
    *[(CMYK, dtype, 4, None) for dtype in ("u1", "u2", "f4")],
    *[(CMYK, dtype, 5, extra) for dtype in ("u1", "u2") for extra in EXTRAS],
]
READ = {  # little-endian and in one plane; of the other files, some are
    *[(photometric, dtype, 1, None) for photometric in GREYS for dtype in ("u1", "u2", "f4")],
    (BLACK_IS_ZERO, "u4", 1, None),
    *[(BLACK_IS_ZERO, "u1", 2, extra) for extra in EXTRAS],
    *[(RGB, dtype, 3, None) for dtype in ("u1", "u2")],
    *[(RGB, dtype, 4, extra) for dtype in ("u1", "u2") for extra in EXTRAS],
    *[(CMYK, dtype, 4, None) for dtype in ("u1", "u2")],
    (CMYK, "u1", 5, OTHER),
}


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("compression", [UNCOMPRESSED, DEFLATE])
@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize(("photometric", "dtype", "channels", "extra"), KINDS)
def test_samples_are_read_right_or_refused(
    photometric: int,
    dtype: str,
    channels: int,
    extra: int | None,
    order: str,
    compression: int,
    planes: bool,
    big: bool,
) -> None:
    samples = random_samples("u4" if dtype == "c8" else dtype, channels)
    if extra == PREMULTIPLIED:
        samples[..., :-1] = np.minimum(samples[..., :-1], samples[..., -1:])
    entries = [] if extra is None else [short(338, extra)]
    options = {"order": order, "compression": compression, "planes": planes, "big": big}
    data = tiff_of(samples.astype(dtype), photometric, *entries, **options)
    try:
        pixels = decode(data).pixels
    except UnsupportedImageError:
        assert (photometric, dtype, channels, extra) not in READ or planes or order == ">"
    else:
        assert dtype[0] in "uf"
        rounded_twice = extra or photometric == CMYK
        assert np.abs(pixels - shown(samples, photometric, extra)).max() <= (3 if rounded_twice else 1)


@pytest.mark.parametrize("bits", [1, 2, 4, 12])
@pytest.mark.parametrize("compression", [UNCOMPRESSED, DEFLATE])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
@pytest.mark.parametrize("planes", [False, True])
@pytest.mark.parametrize("order", "<>")
def test_samples_of_few_bits(bits: int, compression: int, photometric: int, planes: bool, order: str) -> None:
    samples = random_samples("u2", 1, bits)
    data = tiff_of(samples, photometric, order=order, compression=compression, planes=planes, bits=bits)
    try:
        pixels = decode(data).pixels
    except UnsupportedImageError:
        assert planes or (bits == 12 and (photometric == WHITE_IS_ZERO or order == ">"))
    else:
        assert np.abs(pixels - shown(samples, photometric, bits=bits)).max() <= 0.5


@pytest.mark.parametrize("bits", [1, 2, 4, 8])
@pytest.mark.parametrize("planes", [False, True])
def test_palettes(bits: int, planes: bool) -> None:
    samples = random_samples("u2", 1, bits)
    colours = np.random.default_rng(2).integers(0, 65536, (3, 1 << bits))
    data = tiff_of(samples, PALETTE, short(320, *colours.ravel().tolist()), planes=planes, bits=bits)
    try:
        pixels = decode(data).pixels
    except UnsupportedImageError:
        assert planes
        assert bits < 8
    else:
        assert np.abs(pixels - np.moveaxis(colours[:, samples[..., 0]], 0, 2) / 257).max() <= 1


def test_a_palette_of_8_bit_colours_is_not_taken_for_black() -> None:
    samples, colours = random_samples("u1", 1), np.arange(768) % 256
    with pytest.raises(BrokenImageError, match="palette have 8 bits"):
        decode(tiff_of(samples, PALETTE, short(320, *colours.tolist())))
    assert decode(tiff_of(samples, PALETTE, short(320, *[0] * 768))).pixels.max() == 0


def test_cielab() -> None:
    lab = np.random.default_rng(3).integers((90, -15, -15), (210, 15, 15), (HEIGHT, WIDTH, 3))
    data = tiff_of((lab % 256).astype(np.uint8), CIELAB)
    assert np.abs(decode(data).pixels - lab_in_srgb(lab * (100 / 255, 1, 1))).max() <= 2
    with pytest.raises(UnsupportedImageError, match="CIELab"):
        decode(tiff_of((lab % 256).astype(np.uint8), CIELAB, planes=True, compression=DEFLATE))


@pytest.mark.parametrize(("subsampling", "read"), [((1, 1), True), ((2, 1), False), ((), False)])
def test_uncompressed_ycbcr_has_to_be_whole(subsampling: tuple[int, ...], read: bool) -> None:
    """Without the tag YCbCrSubSampling its numbers are 2 and 2."""
    ycbcr = np.asarray(Image.fromarray(noise(0, WIDTH, HEIGHT)).convert("YCbCr"))
    data = tiff_of(ycbcr, YCBCR, *[short(530, *subsampling)][: len(subsampling)])
    if read:
        assert np.abs(decode(data).pixels - noise(0, WIDTH, HEIGHT).astype(int)).max() <= 4
    else:
        with pytest.raises(UnsupportedImageError, match="YCbCr"):
            decode(data)


def test_other_inks_than_cmyk() -> None:
    samples = random_samples("u1", 4)
    with pytest.raises(UnsupportedImageError, match="4 unsigned samples of 8 bits"):
        decode(tiff_of(samples, CMYK, short(332, 2)))
    assert decode(tiff_of(samples, CMYK, short(332, 1))).pixels.shape == (HEIGHT, WIDTH, 3)


@pytest.mark.parametrize(
    ("dtype", "tags"), [("u1", (280, 281)), ("u2", (280, 281)), ("u2", (340, 341)), ("u4", (280, 281))]
)
def test_stated_extremes_do_not_change_the_range(dtype: str, tags: tuple[int, int]) -> None:
    """MinSampleValue and MaxSampleValue: "not to be used to affect the visual appearance of an image"."""
    samples = random_samples(dtype, 1)
    data = tiff_of(samples, BLACK_IS_ZERO, short(tags[0], 10), short(tags[1], 200))
    np.testing.assert_array_equal(decode(data).pixels, decode(tiff_of(samples, BLACK_IS_ZERO)).pixels)


@pytest.mark.parametrize("top", [1e-3, 100, 4095, 65535])
def test_a_range_is_not_guessed_from_the_values(top: float) -> None:
    samples = (random_samples("f8", 1) * min(top, 1)).astype(np.float32)
    assert np.abs(decode(tiff_of(samples, BLACK_IS_ZERO)).pixels - 255 * samples).max() <= 0.5
    counts = (random_samples("f8", 1) * top).astype(np.uint32)
    assert decode(tiff_of(counts, BLACK_IS_ZERO)).pixels.max() == 0


@pytest.mark.parametrize("value", [-0.1, 1.1, 255, 65535, -1e30, 1e30])
@pytest.mark.parametrize("photometric", [WHITE_IS_ZERO, BLACK_IS_ZERO])
def test_floating_point_values_outside_of_0_to_1(value: float, photometric: int) -> None:
    samples = random_samples("f4", 1)
    samples[5, 5] = value
    with pytest.raises(UnsupportedImageError, match="floating-point values from"):
        decode(tiff_of(samples, photometric))


def test_floating_point_values_that_resampling_put_just_outside() -> None:
    samples = random_samples("f4", 1) * np.float32(1.003) - np.float32(0.0015)
    assert np.abs(decode(tiff_of(samples, BLACK_IS_ZERO)).pixels - 255 * samples.clip(0, 1)).max() <= 0.5


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_numbers_are_broken(value: float) -> None:
    samples = random_samples("f4", 1)
    samples[5, 5] = value
    with pytest.raises(BrokenImageError, match="not numbers"):
        decode(tiff_of(samples, BLACK_IS_ZERO))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("dtype", ["u1", "u2", "f4"])
def test_white_is_zero_in_every_orientation(dtype: str, orientation: int) -> None:
    samples = random_samples(dtype, 1)
    pixels = decode(tiff_of(samples, WHITE_IS_ZERO, short(274, orientation))).pixels
    levels = np.rint(shown(samples, WHITE_IS_ZERO))
    flipped = {2: levels[:, ::-1], 3: levels[::-1, ::-1], 4: levels[::-1], 5: levels.transpose(1, 0, 2)}
    flipped |= {6: np.rot90(levels, -1), 7: np.rot90(levels, 2).transpose(1, 0, 2), 8: np.rot90(levels)}
    assert np.abs(pixels - flipped.get(orientation, levels)).max() <= 1


@pytest.mark.parametrize("predictor", [1, 2])
@pytest.mark.parametrize("dtype", ["u1", "u2"])
@pytest.mark.parametrize("channels", [1, 3])
def test_predictors(predictor: int, dtype: str, channels: int) -> None:
    """Differences of neighbours in a row: TIFF 6.0, section 14."""
    samples = random_samples(dtype, channels)
    stored = samples.copy()
    if predictor == 2:
        stored[:, 1:] -= samples[:, :-1]
    photometric = RGB if channels == 3 else BLACK_IS_ZERO
    data = tiff_of(stored, photometric, short(317, predictor), compression=DEFLATE)
    assert np.abs(decode(data).pixels - shown(samples, photometric)).max() <= 1


COMPRESSIONS = {
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34712: "JPEG 2000",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
COMPRESSIONS |= {34661: "JBIG", 34676: "LogLuv", 34677: "LogLuv", 34887: "LERC", 50001: "WebP"}
COMPRESSIONS |= {9: "method 9", 32771: "method 32771", 32809: "method 32809", 65000: "method 65000"}


@pytest.mark.parametrize(("compression", "name"), COMPRESSIONS.items())
def test_a_compression_that_is_not_read_is_named(compression: int, name: str) -> None:
    with pytest.raises(UnsupportedImageError, match=f"a TIFF compressed with {name};"):
        decode(tiff_of(random_samples("u1", 3), RGB, compression=compression))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff_of(random_samples("f4", 3), RGB), "3 floating-point samples of 32 bits (RGB, little-endian)"),
        (tiff_of(random_samples("f2", 1), 1), "1 floating-point sample of 16 bits (black is zero, "),
        (tiff_of(random_samples("i2", 1), 1, order=">"), "1 signed sample of 16 bits (black is zero, big-"),
        (tiff_of(random_samples("u2", 3), RGB, planes=True), "(RGB, little-endian, in separate planes)"),
        (tiff_of(random_samples("u2", 3), CIELAB), "3 unsigned samples of 16 bits (CIELab"),
        (tiff_of(random_samples("u1", 1), 4), "transparency mask"),
        (tiff_of(random_samples("u1", 1), 777), "photometric interpretation 777"),
        (tiff_of(random_samples("u1", 3), RGB, short(258, 5, 6, 5)), "3 unsigned samples of 5 and 6 bits"),
        (tiff_of(random_samples("u1", 3), RGB, short(339, 1, 2, 1)), "3 unsigned and signed samples"),
        (tiff_of(random_samples("u1", 3), RGB, order=">", big=True), "a big-endian BigTIFF"),
    ],
)
def test_what_is_not_read_is_described(data: bytes, words: str) -> None:
    with pytest.raises(UnsupportedImageError, match=re.escape(words)):
        decode(data)


SHAPE = [number(256, 8), number(257, 8), number(258, 8), number(262, 1), number(273, 8), number(279, 64)]


def with_sub_directory(photometric: int) -> bytes:
    """A thumbnail, and the picture itself in a directory that its tag SubIFDs points to."""
    start = len(tiff(*SHAPE, number(330, 0)))
    whole = tiff(*[number(tag, 8) for tag in (256, 257)], number(262, photometric))[8:]
    return tiff(*SHAPE, number(330, start)) + whole


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (grey(8, 8, number(273, 8), number(279, 64), (50706, BYTE, 4, b"\1\4\0\0")), r" \(DNG\)"),
        (tiff_of(random_samples("u2", 1), 32803), ""),
        (tiff_of(random_samples("u2", 3), 34892), ""),
        (with_sub_directory(32803), ""),
        (with_sub_directory(34892), ""),
        (b"II*\0\x10\0\0\0CR\2\0\0\0\0\0" + tiff(*SHAPE)[8:], r" \(CR2\)"),
    ],
)
def test_raw_files_of_cameras_are_named(data: bytes, name: str) -> None:
    """Their first directory is often of a thumbnail."""
    with pytest.raises(UnsupportedImageError, match=f"this is a camera's raw file{name};"):
        decode(data)


def test_sub_directories_of_other_files_are_no_reason_to_refuse() -> None:
    assert decode(with_sub_directory(BLACK_IS_ZERO)).pixels.shape == (8, 8, 3)
    assert decode(tiff(*SHAPE, number(330, *range(2**32 - 20, 2**32)))).pixels.shape == (8, 8, 3)


def test_without_a_photometric_interpretation() -> None:
    """Whether such a picture is negative cannot be told; faxes, which are written so, are black on white."""
    with pytest.raises(BrokenImageError, match="PhotometricInterpretation"):
        decode(tiff(*[entry for entry in SHAPE if entry[0] != 262]))
    fax = Image.fromarray(noise(0, 64, 16)).convert("1")
    data = encode(fax, "TIFF", compression="group4")
    place = data.index(struct.pack("<HHL", 262, SHORT, 1))
    untagged = data[:place] + struct.pack("<H", 263) + data[place + 2 :]
    np.testing.assert_array_equal(decode(untagged).pixels, np.invert(decode(data).pixels))


def test_tags_that_are_cut_short_are_broken() -> None:
    """A file whose tags follow its pixels: those that are missing may be what tells how to read these."""
    pixels = bytes(range(64))
    whole = tiff(*SHAPE, (339, SHORT, 1, b"\2\0"))
    data = b"II*\0" + struct.pack("<L", 8 + len(pixels)) + pixels + whole[8:]
    with pytest.raises(UnsupportedImageError, match="signed"):
        decode(data)
    for cut in range(5, 30):  # the last entry or two, and the offset of the next directory
        with pytest.raises(BrokenImageError, match="its tags are incomplete"):
            decode(data[:-cut])


@pytest.mark.parametrize(
    "compression", ["raw", "packbits", "tiff_lzw", "tiff_adobe_deflate", "zstd", "lzma", "jpeg"]
)
@pytest.mark.parametrize("mode", ["L", "RGB", "CMYK", "YCbCr"])
def test_what_pillow_writes_is_read(mode: str, compression: str) -> None:
    image = Image.fromarray(noise()).convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF", compression=compression)
    assert np.abs(decode(file.getvalue()).pixels - np.asarray(image.convert("RGB")).astype(int)).mean() < 4
