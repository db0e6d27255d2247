"""Synthetic out-of-distribution (OOD) pictures: noise, text, charts and other drawings.

They test the OOD detector only, and are used neither in training nor to choose a threshold.
"""

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SIDES = (32, 48, 64, 128, 224)
WORDS = (
    "the",
    "quick",
    "brown",
    "fox",
    "jumps",
    "over",
    "lazy",
    "dogs",
    "invoice",
    "total",
    "1,284.50",
    "June",
)


def ood_images(count: int, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """By kind, `count` pictures, each RGB uint8 of shape (H, W, 3), H = W from 32 to 224 pixels."""
    pictures = {}
    for number, (kind, draw) in enumerate(KINDS.items()):
        random = np.random.default_rng([seed, number])
        pictures[kind] = [draw(random, int(random.choice(SIDES))) for _ in range(count)]
    return pictures


def _noise(random: np.random.Generator, side: int) -> np.ndarray:
    """Independent pixels, uniform or Gaussian, in colour or grey."""
    shape = (side, side, int(random.choice([1, 3])))
    if random.random() < 0.5:
        values = random.uniform(0, 255, shape)
    else:
        values = random.normal(random.uniform(80, 176), random.uniform(20, 80), shape)
    return _pixels(np.broadcast_to(values, (side, side, 3)))


def _flat(random: np.random.Generator, side: int) -> np.ndarray:
    return _pixels(np.broadcast_to(_colour(random), (side, side, 3)))


def _gradient(random: np.random.Generator, side: int) -> np.ndarray:
    """A linear or radial gradient of two colours."""
    y, x = np.mgrid[0 : 1 : side * 1j, 0 : 1 : side * 1j]
    if random.random() < 0.5:
        angle = random.uniform(0, 2 * np.pi)
        t = x * np.cos(angle) + y * np.sin(angle)
    else:
        t = np.hypot(x - random.random(), y - random.random())
    t = (t - t.min()) / np.ptp(t)
    return _pixels(_interpolate(t, _colour(random), _colour(random)))


def _text(random: np.random.Generator, side: int) -> np.ndarray:
    """Lines of words on a plain background."""
    image, draw, ink = _canvas(random, side)
    size = int(random.integers(8, max(9, side // 6)))
    font = ImageFont.load_default(size)
    for top in range(1, side, size + 2):
        draw.text((2, top), " ".join(random.choice(WORDS, 12)), fill=ink, font=font)
    return np.asarray(image)


def _chart(random: np.random.Generator, side: int) -> np.ndarray:
    """A bar, line, scatter or pie chart."""
    image, draw, ink = _canvas(random, side)
    low, high = side // 8, side - side // 8
    kind = random.choice(["bars", "line", "dots", "pie"])
    width = max(1, side // 64)
    if kind == "pie":
        edges = np.sort(random.uniform(0, 360, 5))
        for start, end in zip(edges, [*edges[1:], edges[0] + 360], strict=True):
            draw.pieslice((low, low, high, high), start, end, fill=tuple(_colour(random)), outline=ink)
        return np.asarray(image)
    draw.line([(low, low), (low, high), (high, high)], fill=ink, width=width)
    x = np.linspace(low, high, int(random.integers(4, 9)) + 1)
    y = random.uniform(low, high, len(x))
    colour = tuple(_colour(random))
    if kind == "bars":
        for left, right, top in zip(x, x[1:], y, strict=False):
            draw.rectangle((left + width, min(top, high - width), right - width, high - width), fill=colour)
    elif kind == "line":
        draw.line(list(zip(x, y, strict=True)), fill=colour, width=2 * width)
    else:
        for centre in zip(x, y, strict=True):
            draw.circle(centre, side / 24, fill=colour)
    return np.asarray(image)


def _fractal(random: np.random.Generator, side: int) -> np.ndarray:
    """A Julia set: steps to escape, in one of several colour maps."""
    from matplotlib import colormaps  # its import takes a second

    centre, angle = random.uniform(0.6, 0.9), random.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1.5 : 1.5 : side * 1j, -1.5 : 1.5 : side * 1j]
    z, steps = x + 1j * y, np.zeros((side, side))
    for _ in range(40):
        inside = np.abs(z) < 2
        z[inside] = z[inside] ** 2 + centre * np.exp(1j * angle)
        steps += inside
    colours = colormaps[str(random.choice(["viridis", "twilight", "hot", "cubehelix", "prism"]))]
    return _pixels(colours(steps / steps.max())[..., :3] * 255)


def _checkerboard(random: np.random.Generator, side: int) -> np.ndarray:
    cell = int(random.integers(1, side // 3))
    odd = (np.indices((side, side)) // cell).sum(0) % 2
    return _pixels(_interpolate(odd, _colour(random), _colour(random)))


def _canvas(
    random: np.random.Generator, side: int
) -> tuple[Image.Image, ImageDraw.ImageDraw, tuple[int, ...]]:
    """(picture with a plain background, mostly white; its ImageDraw; black or white for contrast)."""
    background = _colour(random) if random.random() < 0.3 else np.full(3, 255)
    ink = np.where(background.mean() > 127, 0, 255) * np.ones(3, int)
    image = Image.new("RGB", (side, side), tuple(background.tolist()))
    return image, ImageDraw.Draw(image), tuple(ink.tolist())


def _colour(random: np.random.Generator) -> np.ndarray:
    return random.integers(0, 256, 3)


def _interpolate(t: np.ndarray, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    return start + t[..., None] * (end - start)


def _pixels(values: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)


KINDS: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "noise": _noise,
    "flat colour": _flat,
    "gradient": _gradient,
    "text": _text,
    "chart": _chart,
    "fractal": _fractal,
    "checkerboard": _checkerboard,
}
