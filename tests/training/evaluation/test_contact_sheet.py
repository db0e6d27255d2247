from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFont

from tests.pictures import noise
from training.evaluation.contact_sheet import COLUMNS, FONT, LINE, MARGIN, SIDE, contact_sheet, shorten


def read(path: Path) -> np.ndarray:
    with Image.open(path) as sheet:
        return np.asarray(sheet)


def test_pictures_stand_in_rows_with_their_text_below(tmp_path: Path) -> None:
    images = [noise(i) for i in range(COLUMNS + 2)]
    contact_sheet(tmp_path / "sheet.png", images, [[f"{i}.png", "99%"] for i in range(COLUMNS + 2)])
    pixels = read(tmp_path / "sheet.png")
    scale, cell = SIDE // 32, (SIDE + LINE * 2 + 2 * MARGIN, SIDE + MARGIN)
    for number, (row, column) in ((0, (0, 0)), (COLUMNS + 1, (1, 1))):
        y, x = MARGIN + row * cell[0], MARGIN + column * cell[1]
        assert (pixels[y : y + SIDE : scale, x : x + SIDE : scale] == images[number]).all()
        text = pixels[y + SIDE : y + SIDE + 2 * LINE + 4, x : x + SIDE]
        assert (text < 128).any()
    assert (pixels[MARGIN + cell[0] :, MARGIN + 2 * cell[1] :] == 255).all()  # the rest of the second row


@pytest.mark.parametrize("count", [0, 1])
def test_few_pictures(count: int, tmp_path: Path) -> None:
    contact_sheet(tmp_path / "sheet.png", [noise(0)] * count, [["name"]] * count)
    assert (read(tmp_path / "sheet.png") < 128).any() == bool(count)


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=255))
@settings(derandomize=True, deadline=None)
def test_lines_are_no_wider_than_a_picture(text: str) -> None:
    font = ImageFont.load_default(FONT)
    short = shorten(text, font, SIDE)
    assert font.getlength(short) <= SIDE
    assert short == text or (short.count("…") >= 1 and font.getlength(text) > SIDE)


def test_both_ends_of_a_long_name_are_kept() -> None:
    short = shorten(f"real_cifake_images/{'x' * 60}724.png", ImageFont.load_default(FONT), SIDE)
    assert short.startswith("real_cifake_")
    assert short.endswith("724.png")
