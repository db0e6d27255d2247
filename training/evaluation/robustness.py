"""Robustness: accuracy and calibration on corrupted pictures.

After Hendrycks & Dietterich 2019, "Benchmarking Neural Network Robustness to Common Corruptions and
Perturbations", ICLR, arXiv 1903.12261, with corruptions that pictures undergo on the web.
"""

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
from training.evaluation.metrics import expected_calibration_error, mean_interval, wilson_interval
from training.progress import progress
from training.tables import PERCENT_DECIMALS, number, percentage, table

Corruption = Callable[[Image.Image, np.random.Generator], Image.Image]

CHUNK = 500


def check_size(size: int) -> None:
    """Raise ValueError unless all corruptions are defined for pictures of this side in pixels."""
    if size % 16:
        raise ValueError(
            f"the network's input is {size}x{size}: robustness needs sides that are multiples of 16"
        )


def robustness(predictor: Predictor, images: np.ndarray, labels: np.ndarray) -> dict[str, dict[str, Any]]:
    """Metrics of `predictor` by name of the corruption; the first is of the unchanged pictures.

    images: uint8 of shape (N, size, size, 3), size a multiple of 16; labels: 1 = REAL, 0 = FAKE, of shape
    (N,). Pictures whose size a corruption changes are passed on at that size, as the service does. The
    interval of the accuracy is Wilson's at 95 %. `drop` is the loss of accuracy in [-1, 1]; its 95 % interval
    is that of a difference of paired proportions (Wald's, Agresti 2013, "Categorical Data Analysis", section
    11.1). Raises ValueError for another size.
    """
    check_size(images.shape[1])
    result: dict[str, dict[str, Any]] = {}
    unchanged = np.zeros(0)
    with progress("robustness", len(CORRUPTIONS) * len(images)) as work:
        for name, corruption in CORRUPTIONS.items():
            predicted = []
            for start, stop in _chunks(len(images)):
                corrupted = [_corrupt(images[i], corruption, i) for i in range(start, stop)]
                predicted.append(predictor.predict(corrupted))
                work.advance(stop - start, name)
            predictions = np.concatenate([part.predictions for part in predicted])
            correct = ((predictions >= THRESHOLD) == (labels == 1)).astype(float)
            unchanged = unchanged if result else correct
            drop, interval = mean_interval(unchanged - correct)
            result[name] = {
                "accuracy": float(correct.mean()),
                "accuracy_interval": list(wilson_interval(int(correct.sum()), len(correct))),
                "drop": drop,
                "drop_interval": interval,
                "ece": expected_calibration_error(predictions, labels),
            }
            if predicted[0].in_domain is not None:
                result[name]["in_domain"] = float(np.concatenate([r.in_domain for r in predicted]).mean())
    return result


def describe(result: dict[str, dict[str, Any]]) -> str:
    """The result of `robustness` as a table."""
    rows = []
    for name, row in result.items():
        accuracy = row["accuracy_interval"]
        lost = number(100 * row["drop"], [100 * bound for bound in row["drop_interval"]], PERCENT_DECIMALS)
        in_domain = percentage(row["in_domain"], accuracy)[0] if "in_domain" in row else "unknown"
        rows.append(
            (
                name,
                percentage(row["accuracy"], accuracy)[0],
                *lost,
                percentage(row["ece"], accuracy)[0],
                in_domain,
            )
        )
    header = ("pictures", "accuracy", "lost, points", "95 % interval", "ECE", "in domain")
    return table(rows, header, "<>><>")


def _chunks(count: int) -> list[tuple[int, int]]:
    return [(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]


def _corrupt(picture: np.ndarray, corruption: Corruption, seed: int) -> np.ndarray:
    return np.asarray(corruption(Image.fromarray(picture), np.random.default_rng(seed)))


def _compress(picture: Image.Image, _: np.random.Generator, file_format: str, quality: int) -> Image.Image:
    return reencode(picture, file_format, quality)


def _blur(picture: Image.Image, _: np.random.Generator, sigma: float) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(sigma))


def _add_noise(picture: Image.Image, random: np.random.Generator, sigma: float) -> Image.Image:
    pixels = np.asarray(picture) + random.normal(0, sigma, (picture.height, picture.width, 3))
    return _image(pixels)


def _enhance(
    picture: Image.Image,
    _: np.random.Generator,
    enhancer: Callable[[Image.Image], ImageEnhance._Enhance],
    factor: float,
) -> Image.Image:
    return enhancer(picture).enhance(factor)


def _upscale(
    picture: Image.Image, _: np.random.Generator, factor: int, resample: Resampling = Resampling.BICUBIC
) -> Image.Image:
    return picture.resize((picture.width * factor, picture.height * factor), resample)


def _crop(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return picture.crop((1, 1, picture.width - 1, picture.height - 1))


def _to_grey(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    return picture.convert("L").convert("RGB")


def libjpeg9_decoder(picture: Image.Image, _: np.random.Generator) -> Image.Image:
    """A JPEG's pixels as decoded by libjpeg 7 and later, from those decoded by libjpeg-turbo.

    JPEG stores chroma at half resolution, as 8x8 DCT coefficients a block. libjpeg-turbo decodes it at that
    resolution and upsamples it with a triangle filter, libjpeg 9 upsamples it by an inverse DCT of 16x16.
    Both are linear and separable: one matrix for rows and columns inverts the first and applies the second.
    Sides are multiples of 16 pixels.
    """
    ycc = np.asarray(picture) @ RGB_TO_YCBCR.numpy().astype(float).T
    rows, columns = _redecode_matrix(picture.height), _redecode_matrix(picture.width)
    for channel in (1, 2):
        ycc[..., channel] = rows @ ycc[..., channel] @ columns.T
    return _image(ycc @ YCBCR_TO_RGB.numpy().astype(float).T)


def _image(values: np.ndarray) -> Image.Image:
    return Image.fromarray(np.clip(np.rint(values), 0, 255).astype(np.uint8))


def _redecode_matrix(side: int) -> np.ndarray:
    half = side // 2
    average_pairs = np.kron(np.eye(half), [[0.5, 0.5]])
    # Upsampling by the triangle filter, then averaging pairs.
    smooth = 0.75 * np.eye(half) + 0.125 * (np.eye(half, k=1) + np.eye(half, k=-1))
    smooth[0, 0] = smooth[-1, -1] = 0.875
    dct8 = dct(np.eye(8), norm="ortho", axis=0)
    upsample = np.sqrt(2) * idct(np.eye(16), norm="ortho", axis=0)[:, :8] @ dct8
    return np.kron(np.eye(side // 16), upsample) @ np.linalg.solve(smooth, average_pairs)


CORRUPTIONS: dict[str, Corruption] = {
    "as they are": lambda picture, _: picture,
    "JPEG, quality 90": partial(_compress, file_format="JPEG", quality=90),
    "JPEG, quality 75": partial(_compress, file_format="JPEG", quality=75),
    "JPEG, quality 50": partial(_compress, file_format="JPEG", quality=50),
    "JPEG, quality 30": partial(_compress, file_format="JPEG", quality=30),
    "WebP, quality 80": partial(_compress, file_format="WEBP", quality=80),
    "decoded by libjpeg 9": libjpeg9_decoder,
    "Gaussian blur, 0.5 px": partial(_blur, sigma=0.5),
    "Gaussian blur, 1 px": partial(_blur, sigma=1.0),
    "noise, 5 grey levels": partial(_add_noise, sigma=5.0),
    "brightness -20 %": partial(_enhance, enhancer=ImageEnhance.Brightness, factor=0.8),
    "brightness +20 %": partial(_enhance, enhancer=ImageEnhance.Brightness, factor=1.2),
    "contrast -20 %": partial(_enhance, enhancer=ImageEnhance.Contrast, factor=0.8),
    "contrast +20 %": partial(_enhance, enhancer=ImageEnhance.Contrast, factor=1.2),
    "enlarged x2, bicubic": partial(_upscale, factor=2),
    "enlarged x4, bicubic": partial(_upscale, factor=4),
    "enlarged x4, bilinear": partial(_upscale, factor=4, resample=Resampling.BILINEAR),
    "enlarged x4, nearest": partial(_upscale, factor=4, resample=Resampling.NEAREST),
    "enlarged x7, bicubic": partial(_upscale, factor=7),
    "one pixel cut off each edge": _crop,
    "grey": _to_grey,
}
