"""How much is left of accuracy and calibration when pictures have been through other programs."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageFilter
from PIL.Image import Resampling
from scipy.fft import dct, idct

from model.metadata import THRESHOLD
from model.predictor import Predictor
from training.data.jpeg import RGB_TO_YCBCR, YCBCR_TO_RGB, reencode
from training.evaluation.metrics import expected_calibration_error, mean_interval

Change = Callable[[Image.Image, np.random.Generator], Image.Image]

CHUNK = 500


def check_size(size: int) -> None:
    """Raise ValueError for pictures of a side, in pixels, that not all changes are defined for."""
    if size % 16:
        raise ValueError(
            f"a network for {size}x{size} pictures: robustness needs sides that are multiples of 16"
        )


def robustness(predictor: Predictor, images: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, Any]]:
    """Figures of `predictor` by change; the first is of the pictures as they are.

    images: uint8 of shape (N, size, size, 3), size a multiple of 16; labels: 1 = REAL, 0 = FAKE, of shape
    (N,). A picture that a change leaves at another size goes to the predictor as it is, as through the
    service. `drop` is the accuracy lost in [-1, 1]; its 95 % interval is that of a difference between paired
    shares (Wald's, Agresti 2013, "Categorical Data Analysis", section 11.1). Raises ValueError for another
    size.
    """
    check_size(images.shape[1])
    table: dict[str, dict[str, Any]] = {}
    first = np.zeros(0)
    for name, change in CHANGES.items():
        predicted = [
            predictor.predict([_changed(images[i], change, i) for i in range(start, stop)])
            for start, stop in _chunks(len(images))
        ]
        predictions = np.concatenate([part.predictions for part in predicted])
        right = ((predictions >= THRESHOLD) == (labels == 1)).astype(float)
        first = first if table else right
        drop, interval = mean_interval(first - right)
        table[name] = {
            "accuracy": float(right.mean()),
            "drop": drop,
            "drop_interval": interval,
            "ece": expected_calibration_error(predictions, labels),
        }
        if predicted[0].in_domain is not None:
            table[name]["in_domain"] = float(np.concatenate([r.in_domain for r in predicted]).mean())
    return table


def describe(table: dict[str, dict[str, Any]]) -> str:
    """The table of `robustness` for people."""
    lines = [f"{'':28} accuracy  lost, points (95 % interval)    ECE  in domain"]
    for name, row in table.items():
        low, high = (100 * bound for bound in row["drop_interval"])
        lost = f"{100 * row['drop']:6.2f}  ({low:.2f} to {high:.2f})"
        known = f"{row['in_domain']:.2%}" if "in_domain" in row else "unknown"
        lines.append(f"{name:28} {row['accuracy']:8.2%}  {lost:27} {row['ece']:7.2%}  {known:>8}")
    return "\n".join(lines)


def _chunks(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _changed(picture: np.ndarray, change: Change, number: int) -> np.ndarray:
    return np.asarray(change(Image.fromarray(picture), np.random.default_rng(number)))


def _saved(picture: Image.Image, _: np.random.Generator, kind: str, quality: int) -> Image.Image:
    return reencode(picture, kind, quality)


def _blurred(picture: Image.Image, _: np.random.Generator, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def _noisy(picture: Image.Image, random: np.random.Generator, sigma: float) -> Image.Image:
    pixels = np.asarray(picture) + random.normal(0, sigma, (picture.height, picture.width, 3))
    return _image(pixels)


def _toned(
    picture: Image.Image,
    _: np.random.Generator,
    tone: Callable[[Image.Image], ImageEnhance._Enhance],
    factor: float,
) -> Image.Image:
    return tone(picture).enhance(factor)


def _enlarged(
    picture: Image.Image, _: np.random.Generator, times: int, how: Resampling = Resampling.BICUBIC
) -> Image.Image:
    return picture.resize((picture.width * times, picture.height * times), how)


def _cropped(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return picture.crop((1, 1, picture.width - 1, picture.height - 1))


def _grey(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return picture.convert("L").convert("RGB")


def other_decoder(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    """A JPEG's pixels as libjpeg 7 and later would have decoded them, from those of libjpeg-turbo.

    Both store chroma at half resolution in blocks of 8x8 frequencies. libjpeg-turbo decodes it there and
    doubles it by a triangle filter, libjpeg 9 gives each block 16x16 places in the inverse cosine
    transform. Both are linear, along rows and columns alike: one matrix undoes the first and does the second.
    Sides are multiples of 16 pixels.
    """
    ycc = np.asarray(picture) @ RGB_TO_YCBCR.numpy().astype(float).T
    rows, columns = _redecode(picture.height), _redecode(picture.width)
    for channel in (1, 2):
        ycc[..., channel] = rows @ ycc[..., channel] @ columns.T
    return _image(ycc @ YCBCR_TO_RGB.numpy().astype(float).T)


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _redecode(side: int) -> np.ndarray:
    half = side // 2
    halved = np.kron(np.eye(half), [[0.5, 0.5]])
    # What the triangle filter makes of a row of chroma when its pairs of pixels are averaged again.
    smoothed = 0.75 * np.eye(half) + 0.125 * (np.eye(half, k=1) + np.eye(half, k=-1))
    smoothed[0, 0] = smoothed[-1, -1] = 0.875
    frequencies = dct(np.eye(8), norm="ortho", axis=0)
    doubled = np.sqrt(2) * idct(np.eye(16), norm="ortho", axis=0)[:, :8] @ frequencies
    return np.kron(np.eye(side // 16), doubled) @ np.linalg.solve(smoothed, halved)


CHANGES: dict[str, Change] = {
    "as they are": lambda picture, _: picture,
    "JPEG, quality 90": partial(_saved, kind="JPEG", quality=90),
    "JPEG, quality 75": partial(_saved, kind="JPEG", quality=75),
    "JPEG, quality 50": partial(_saved, kind="JPEG", quality=50),
    "JPEG, quality 30": partial(_saved, kind="JPEG", quality=30),
    "WebP, quality 80": partial(_saved, kind="WEBP", quality=80),
    "decoded by libjpeg 9": other_decoder,
    "Gaussian blur, 0.5 px": partial(_blurred, sigma=0.5),
    "Gaussian blur, 1 px": partial(_blurred, sigma=1.0),
    "noise, 5 grey levels": partial(_noisy, sigma=5.0),
    "brightness -20 %": partial(_toned, tone=ImageEnhance.Brightness, factor=0.8),
    "brightness +20 %": partial(_toned, tone=ImageEnhance.Brightness, factor=1.2),
    "contrast -20 %": partial(_toned, tone=ImageEnhance.Contrast, factor=0.8),
    "contrast +20 %": partial(_toned, tone=ImageEnhance.Contrast, factor=1.2),
    "enlarged x2, bicubic": partial(_enlarged, times=2),
    "enlarged x4, bicubic": partial(_enlarged, times=4),
    "enlarged x4, bilinear": partial(_enlarged, times=4, how=Resampling.BILINEAR),
    "enlarged x4, nearest": partial(_enlarged, times=4, how=Resampling.NEAREST),
    "enlarged x7, bicubic": partial(_enlarged, times=7),
    "one pixel cut off each edge": _cropped,
    "grey": _grey,
}
