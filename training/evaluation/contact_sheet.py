"""Contact sheets: small pictures in rows, enlarged, with lines of text below each."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from model.files import atomic_write
from training.evaluation.palette import INK, PAPER

COLUMNS, SIDE, MARGIN = 6, 192, 16  # pictures in a row; pixels
FONT, LINE = 13, 17  # pixels


def contact_sheet(path: Path, images: list[np.ndarray], captions: list[list[str]]) -> None:
    """Write a PNG of pictures, each RGB uint8 of shape (H, W, 3), six in a row, with their lines of text.

    A line that is wider than its picture loses its middle.
    """
    lines = max((len(caption) for caption in captions), default=0)
    cell = SIDE + MARGIN, SIDE + LINE * lines + 2 * MARGIN
    rows = -(-len(images) // COLUMNS)
    sheet = Image.new("RGB", (COLUMNS * cell[0] + MARGIN, rows * cell[1] + MARGIN), PAPER)
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(FONT)
    for position, (image, caption) in enumerate(zip(images, captions, strict=True)):
        x, y = (MARGIN + cell[axis] * (position % COLUMNS, position // COLUMNS)[axis] for axis in (0, 1))
        sheet.paste(enlarge(image, SIDE), (x, y))
        for number, text in enumerate(caption):
            line = shorten(text, font, SIDE)
            draw.text((x, y + SIDE + 4 + LINE * number), line, fill=INK, font=font)
    with atomic_write(path) as file:
        sheet.save(file, "PNG")


def enlarge(image: np.ndarray, side: int) -> Image.Image:
    """An image, uint8 of shape (H, W, 3), enlarged to `side` pixels on each side, its pixels as squares."""
    return Image.fromarray(image).resize((side, side), Image.Resampling.NEAREST)


def shorten(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: float) -> str:
    """The text, with an ellipsis for as much of its middle as `width` pixels have no room for."""
    kept, short = len(text), text
    while font.getlength(short) > width:
        kept -= 1
        short = f"{text[: kept // 2]}…{text[len(text) - (kept - kept // 2) :]}"
    return short
