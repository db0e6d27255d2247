"""Contrast and colour blindness."""

import itertools

import numpy as np
import pytest

from training.evaluation import palette

# Machado, Oliveira & Fernandes 2009, "A Physiologically-based Model for Simulation of Color Vision
# Deficiency", severity 1; for linear RGB.
VISION = {
    "trichromat": np.eye(3),
    "protanope": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranope": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
    "tritanope": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]]
    ),
}
TO_XYZ = np.array(
    [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
)  # IEC 61966-2-1


def linear(colour: str) -> np.ndarray:
    values = np.array([int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb: np.ndarray) -> np.ndarray:
    """CIE L*a*b* of linear sRGB, white D65."""
    x, y, z = np.cbrt(TO_XYZ @ rgb.clip(0, 1) / TO_XYZ.sum(1))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one: str, other: str) -> float:
    """WCAG 2.2's contrast ratio."""
    light, dark = sorted((TO_XYZ[1] @ linear(colour) for colour in (one, other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("vision", VISION)
@pytest.mark.parametrize(
    "together",
    [
        (palette.REAL, palette.FAKE),
        (palette.TRAINING, palette.VALIDATION),
        (palette.UNCALIBRATED, palette.VALIDATION),
    ],
)
def test_colours_that_stand_together_can_be_told_apart(together: tuple[str, ...], vision: str) -> None:
    for one, other in itertools.combinations(together, 2):
        seen = [lab(VISION[vision] @ linear(colour)) for colour in (one, other)]
        assert np.linalg.norm(seen[0] - seen[1]) > 15  # 2.3 is just noticeable


@pytest.mark.parametrize("colour", [palette.INK, palette.GREY])
def test_text_is_readable(colour: str) -> None:
    assert contrast(colour, palette.PAPER) > 4.5


@pytest.mark.parametrize("colour", [palette.REAL, palette.FAKE, palette.TRAINING, palette.VALIDATION])
def test_large_text_on_a_colour_is_readable(colour: str) -> None:
    assert contrast(palette.PAPER, colour) > 3
