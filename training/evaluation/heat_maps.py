"""Drawings of Grad-CAM heat maps over the pictures that they explain."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from training.evaluation.contact_sheet import enlarge, shorten
from training.evaluation.palette import INK, PAPER

OPACITY = 0.75  # of the heat map where it is highest
COLOURS = "inferno"  # a colour map whose lightness rises evenly
MARGIN, SCALE_WIDTH = 16, 20  # pixels
FONT, LINE = 16, 22  # pixels


def overlay(image: np.ndarray, heat: np.ndarray, side: int) -> Image.Image:
    """An image, uint8 of shape (H, W, 3), under its heat map, float of shape (H, W) in [0, 1].

    Of `side` pixels in height and width. Where the map is low the picture stays as it is; where it is high it
    turns to the bright end of the colour map.
    """
    values = Image.fromarray((heat * 255).astype(np.uint8))
    return _blend(enlarge(image, side), np.asarray(values.resize((side, side), Image.Resampling.BICUBIC)))


def explanation(image: np.ndarray, heat: np.ndarray, lines: Sequence[str], side: int) -> Image.Image:
    """The enlarged picture beside the same under its heat map, with the scale of colours, and text below.

    Arguments of `overlay`; the lines are shortened to the drawing's width.
    """
    font = ImageFont.load_default(FONT)
    labels = ("1", "0")
    width = 4 * MARGIN + 2 * side + SCALE_WIDTH + round(max(font.getlength(text) for text in labels))
    sheet = Image.new("RGB", (width, 2 * MARGIN + side + LINE * len(lines)), PAPER)
    draw = ImageDraw.Draw(sheet)
    left = MARGIN
    for panel in (enlarge(image, side), overlay(image, heat, side), _scale(side)):
        sheet.paste(panel, (left, MARGIN))
        left += panel.width + MARGIN
    left -= MARGIN * 3 // 4
    draw.text((left, MARGIN), labels[0], fill=INK, font=font, anchor="lt")
    draw.text((left, MARGIN + side), labels[1], fill=INK, font=font, anchor="lb")
    for number, text in enumerate(lines):
        position = (MARGIN, MARGIN * 3 // 2 + side + LINE * number)
        draw.text(position, shorten(text, font, width - 2 * MARGIN), fill=INK, font=font)
    return sheet


def _scale(side: int) -> Image.Image:
    """The colours from 1 at the top to 0 at the bottom, as they are over a medium grey."""
    values = np.linspace(255, 0, side).round().astype(np.uint8)
    grey = Image.new("RGB", (SCALE_WIDTH, side), (128, 128, 128))
    return _blend(grey, values[:, None].repeat(SCALE_WIDTH, axis=1))


def _blend(picture: Image.Image, values: np.ndarray) -> Image.Image:
    """A picture under a heat map of its size, uint8 of shape (H, W)."""
    from matplotlib import colormaps  # its import takes a second

    colours = Image.fromarray((colormaps[COLOURS](values)[..., :3] * 255).astype(np.uint8))
    return Image.composite(colours, picture, Image.fromarray((values * OPACITY).astype(np.uint8)))
