"""ICC profiles, built by ICC.1:2010, and their colours in sRGB, computed with floating-point numbers."""

import struct
from collections.abc import Callable, Mapping

import numpy as np

D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
D65 = (0.3127, 0.3290)
SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # IEC 61966-2-1

Xy = tuple[float, float]
Curve = tuple[float, ...]  # a gamma, or the parameters g, a, b, c, d of section 10.15, function type 3


def profile(
    space: bytes, tags: Mapping[bytes, bytes], kind: bytes = b"mntr", pcs: bytes = b"XYZ ", version: int = 4
) -> bytes:
    """A profile of these tags: sections 7.2 and 7.3."""
    start = 128 + 4 + 12 * len(tags)
    table, contents = struct.pack(">L", len(tags)), b""
    for name, content in tags.items():
        table += name + struct.pack(">LL", start + len(contents), len(content))
        contents += content + bytes(-len(content) % 4)
    head = struct.pack(">L4sBxxx4s4s4s", start + len(contents), bytes(4), version, kind, space, pcs)
    head += bytes(12) + b"acsp" + bytes(28) + xyz(D50)[8:]
    return head.ljust(128, b"\0") + table + contents


def xyz(numbers: np.ndarray) -> bytes:
    """XYZType: section 10.27."""
    return b"XYZ \0\0\0\0" + struct.pack(">3l", *np.rint(np.asarray(numbers) * 65536).astype(int))


def curve(parameters: Curve) -> bytes:
    """parametricCurveType: section 10.15."""
    numbers = [round(number * 65536) for number in parameters]
    return b"para\0\0\0\0" + struct.pack(f">HH{len(numbers)}l", 3 if len(numbers) > 1 else 0, 0, *numbers)


def to_linear(levels: np.ndarray, parameters: Curve) -> np.ndarray:
    """Levels of 0 to 255 by a curve, 0 to 1."""
    values = levels / 255
    if len(parameters) == 1:
        return values ** parameters[0]
    gamma, a, b, c, d = parameters
    return np.where(values >= d, (a * values + b) ** gamma, c * values)


def primaries_matrix(red: Xy, green: Xy, blue: Xy, white: Xy) -> np.ndarray:
    """(3, 3): linear RGB to XYZ, adapted to D50 by the Bradford transform of annex E."""
    columns = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    white_xyz = np.array([white[0] / white[1], 1, (1 - white[0] - white[1]) / white[1]])
    scaled = columns * np.linalg.solve(columns, white_xyz)
    adaptation = np.linalg.inv(BRADFORD) @ np.diag(BRADFORD @ D50 / (BRADFORD @ white_xyz)) @ BRADFORD
    return adaptation @ scaled


def matrix_tags(matrix: np.ndarray, parameters: Curve) -> dict[bytes, bytes]:
    """The tags of a three-component matrix-based profile: section 8.4.3."""
    tags = {name: xyz(matrix[:, at]) for at, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    return tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), curve(parameters)) | {b"wtpt": xyz(D50)}


def grey_profile(parameters: Curve) -> bytes:
    """A monochrome profile: section 8.4.4."""
    return profile(b"GRAY", {b"kTRC": curve(parameters), b"wtpt": xyz(D50)})


def table_profile(space: bytes, channels: int, lab: Callable[[np.ndarray], np.ndarray]) -> bytes:
    """A printer's profile with a table (lut16Type, section 10.10) of two points for each channel.

    lab: L*, a* and b* (N, 3) of channels (N, channels), 0 or 1.
    """
    corners = np.array(list(np.ndindex(*[2] * channels)))
    numbers = lab(corners) * (65280 / 100, 256, 256) + (0, 32768, 32768)
    head = b"mft2\0\0\0\0" + bytes([channels, 3, 2, 0])
    head += struct.pack(">9lHH", *[65536 * (at % 4 == 0) for at in range(9)], 2, 2)
    ramp = struct.pack(">HH", 0, 65535)
    content = head + ramp * channels + numbers.astype(">u2").tobytes() + ramp * 3
    return profile(space, {b"A2B0": content, b"wtpt": xyz(D50)}, b"prtr", b"Lab ", version=2)


def inks(ink: np.ndarray) -> np.ndarray:
    """L*a*b* of four inks, each of which darkens; the first three turn to green, red and yellow."""
    lightness = 100 - 12 * ink[:, :3].sum(1) - 64 * ink[:, 3]
    return np.stack([lightness, 20 * (ink[:, 1] - ink[:, 0]), 20 * ink[:, 2] * (1 - ink[:, 3])], axis=1)


SRGB_MATRIX = primaries_matrix((0.64, 0.33), (0.30, 0.60), (0.15, 0.06), D65)
# Matrix and curve: SMPTE EG 432-1 with sRGB's curve, Adobe RGB (1998), ROMM RGB (ISO 22028-2).
SPACES: dict[str, tuple[np.ndarray, Curve]] = {
    "Display P3": (primaries_matrix((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), D65), SRGB_CURVE),
    "Adobe RGB": (primaries_matrix((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), D65), (563 / 256,)),
    "ProPhoto": (
        primaries_matrix((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585)),
        (1.8, 1.0, 0.0, 1 / 16, 0.031248),
    ),
}
DISPLAY_P3 = profile(b"RGB ", matrix_tags(*SPACES["Display P3"]))
PRESS = table_profile(b"CMYK", 4, inks)


def in_srgb(pixels: np.ndarray, matrix: np.ndarray, parameters: Curve) -> np.ndarray:
    """sRGB levels of pixels (..., 3) of a matrix-based profile; colours that sRGB lacks are clipped."""
    linear = to_linear(pixels, parameters) @ matrix.T @ np.linalg.inv(SRGB_MATRIX).T
    return encoded(np.clip(linear, 0, 1))


def lab_in_srgb(lab: np.ndarray) -> np.ndarray:
    """sRGB levels of L*a*b* (..., 3) by D50: CIE 15, section 8.2.1."""
    y = (lab[..., 0] + 16) / 116
    roots = np.stack([y + lab[..., 1] / 500, y, y - lab[..., 2] / 200], axis=-1)
    numbers = D50 * np.where(roots > 6 / 29, roots**3, 3 * (6 / 29) ** 2 * (roots - 4 / 29))
    return encoded(np.clip(numbers @ np.linalg.inv(SRGB_MATRIX).T, 0, 1))


def encoded(linear: np.ndarray) -> np.ndarray:
    """sRGB levels of linear values."""
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
