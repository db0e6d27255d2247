"""Which TIFF files hold a picture that Pillow reads to its right values, told from their tags.

Pillow reads the others to wrong values, or reports them as damaged. Sources: TIFF 6.0, sections 3 to 6, 8 and
18 to 21; DNG 1.6, chapter 4; TIFF/EP (ISO 12234-2), section 5; OPEN_INFO of Pillow's TiffImagePlugin.
"""

from typing import TYPE_CHECKING

from PIL.TiffImagePlugin import (
    BITSPERSAMPLE,
    COLORMAP,
    COMPRESSION,
    EXTRASAMPLES,
    FILLORDER,
    OPEN_INFO,
    PHOTOMETRIC_INTERPRETATION,
    PLANAR_CONFIGURATION,
    SAMPLEFORMAT,
    SAMPLESPERPIXEL,
    SUBIFD,
    YCBCRSUBSAMPLING,
)

from model.images.errors import BrokenImageError, UnsupportedImageError

if TYPE_CHECKING:
    from model.images.tiff import Directory

MAX_SUB_DIRECTORIES = 8  # looked at; cameras write up to 4

_INK_SET, _DNG_VERSION = 332, 50706
_TAGS = {BITSPERSAMPLE, COMPRESSION, EXTRASAMPLES, FILLORDER, PHOTOMETRIC_INTERPRETATION, YCBCRSUBSAMPLING}
_TAGS |= {PLANAR_CONFIGURATION, SAMPLEFORMAT, SAMPLESPERPIXEL, _INK_SET}

_UNCOMPRESSED, _OLD_JPEG, _FAX = 1, 6, {2, 3, 4}
_COMPRESSIONS = {_UNCOMPRESSED, *_FAX, 5, _OLD_JPEG, 7, 8, 32773, 32946, 34925, 50000}
_COMPRESSION_NAMES = {
    33003: "JPEG 2000",
    33005: "JPEG 2000",
    34661: "JBIG",
    34676: "LogLuv",
    34677: "LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    50001: "WebP",
    50002: "JPEG XL",
    52546: "JPEG XL",
}
_LEAST_COLOUR = 256  # of 16 bits that is not black in 8
_YCBCR = 6
_PHOTOMETRIC_NAMES = {
    0: "white is zero",
    1: "black is zero",
    2: "RGB",
    3: "palette",
    4: "transparency mask",
    5: "CMYK",
    _YCBCR: "YCbCr",
    8: "CIELab",
    9: "ICCLab",
    10: "ITULab",
    32844: "LogL",
    32845: "LogLuv",
}
_SENSOR = {32803, 34892}  # photometric interpretations: colour filter array, linear raw
_UNSIGNED, _SIGNED = 1, 2
_FORMAT_NAMES = {_UNSIGNED: "unsigned", _SIGNED: "signed", 3: "floating-point", 5: "complex", 6: "complex"}
_SEPARATE_PLANES = 2
# Of the planes of an uncompressed file Pillow takes each for a letter of the raw mode. With compression, the
# second is taken for green.
_RAW_MODES_IN_PLANES = {"1", "L", "P", "RGB", "RGBA", "CMYK"}
_MODES_NOT_IN_PLANES = {"LA", "La", "PA", "LAB"}
_BIG_ENDIAN_FLOAT = "F;32BF"  # Pillow swaps the bytes that libtiff has swapped when it decompressed them


def check_samples(data: bytes, tags: "Directory") -> None:
    """Raise UnsupportedImageError or BrokenImageError unless Pillow reads the samples to their right values.

    tags: the first directory of the file. That of a camera's raw file is often of a thumbnail.
    """
    kind = _raw_kind(data, tags)
    if kind:
        raise UnsupportedImageError(f"this is {kind}; send the picture made from it, as JPEG, PNG or TIFF")
    if tags.truncated or not tags.outside.isdisjoint(_TAGS):
        raise BrokenImageError("the picture is cut short or damaged: its tags are incomplete")
    if data.startswith(b"MM\0+"):
        raise UnsupportedImageError("this is a big-endian BigTIFF; send a little-endian one, or a PNG")
    compression = tags.number(COMPRESSION, _UNCOMPRESSED)
    if compression not in _COMPRESSIONS:
        name = _COMPRESSION_NAMES.get(compression, f"method {compression}")
        raise UnsupportedImageError(f"this is a TIFF compressed with {name}; send one with LZW, or a PNG")
    if PHOTOMETRIC_INTERPRETATION not in tags and compression not in {*_FAX, _OLD_JPEG}:
        raise BrokenImageError("the picture is cut short or damaged: it has no PhotometricInterpretation")
    if 0 < max(tags.numbers(COLORMAP), default=0) < _LEAST_COLOUR:
        raise BrokenImageError("the picture is damaged: the colours of its palette have 8 bits instead of 16")
    if not _is_read(data, tags, compression):
        raise UnsupportedImageError(
            f"this is a TIFF of {_describe(data, tags)}, which is not read; send one of 8-bit RGB, or a PNG"
        )


def _raw_kind(data: bytes, tags: "Directory") -> str | None:
    """What to call a camera's raw file, which is a TIFF by its structure; None for other files."""
    if _DNG_VERSION in tags:
        return "a camera's raw file (DNG)"
    if data[8:10] == b"CR":
        return "a camera's raw file (CR2)"
    offsets = tags.numbers(SUBIFD)[:MAX_SUB_DIRECTORIES].tolist()
    directories = [tags, *(tags.at(offset) for offset in offsets if 0 < offset < len(data))]
    photometrics = {directory.number(PHOTOMETRIC_INTERPRETATION, 0) for directory in directories}
    return None if photometrics.isdisjoint(_SENSOR) else "a camera's raw file"


def _is_read(data: bytes, tags: "Directory", compression: int) -> bool:
    formats = _formats(tags)
    if len(formats) > 1 or _SIGNED in formats or tags.number(_INK_SET, 1) != 1:
        return False
    photometric = _YCBCR if compression == _OLD_JPEG else tags.number(PHOTOMETRIC_INTERPRETATION, 0)
    separate = tags.number(PLANAR_CONFIGURATION, 1) == _SEPARATE_PLANES
    planes = samples = tags.number(SAMPLESPERPIXEL, 3 if compression == _OLD_JPEG else 1)
    bits, extra = _tuple(tags, BITSPERSAMPLE) or (1,), _tuple(tags, EXTRASAMPLES)
    if separate and extra and max(extra) == 0:  # Pillow leaves out planes that are no part of the picture
        bits, samples, extra = bits[: -len(extra)], samples - len(extra), ()
    bits = (bits * samples if len(bits) == 1 else bits)[:samples]
    key = data[:2], photometric, (formats[0],), tags.number(FILLORDER, 1), bits, extra
    mode, raw_mode = OPEN_INFO.get(key, ("", ""))
    if compression != _UNCOMPRESSED:
        in_planes = mode not in _MODES_NOT_IN_PLANES and "X" not in raw_mode
        return bool(mode) and raw_mode != _BIG_ENDIAN_FLOAT and (in_planes or not separate)
    if separate:
        return raw_mode in _RAW_MODES_IN_PLANES and planes == len(raw_mode)
    whole_chroma = raw_mode != "YCbCr" or _tuple(tags, YCBCRSUBSAMPLING) == (1, 1)
    return bool(mode) and whole_chroma


def _formats(tags: "Directory") -> list[int]:
    return sorted(set(_tuple(tags, SAMPLEFORMAT))) or [_UNSIGNED]


def _tuple(tags: "Directory", tag: int) -> tuple[int, ...]:
    return tuple(tags.numbers(tag).tolist())


def _describe(data: bytes, tags: "Directory") -> str:
    samples, bits = tags.number(SAMPLESPERPIXEL, 1), sorted(set(_tuple(tags, BITSPERSAMPLE))) or [1]
    formats = " and ".join(_FORMAT_NAMES.get(value, "undefined") for value in _formats(tags))
    photometric = tags.number(PHOTOMETRIC_INTERPRETATION, 0)
    parts = [_PHOTOMETRIC_NAMES.get(photometric, f"photometric interpretation {photometric}")]
    parts.append("big-endian" if data.startswith(b"MM") else "little-endian")
    if tags.number(PLANAR_CONFIGURATION, 1) == _SEPARATE_PLANES:
        parts.append("in separate planes")
    plural = "s" if samples > 1 else ""
    return f"{samples} {formats} sample{plural} of {' and '.join(map(str, bits))} bits ({', '.join(parts)})"
