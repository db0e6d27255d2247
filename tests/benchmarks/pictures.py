"""Pictures as people send them, drawn by code: the same in every run."""

from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from PIL import Image

from tests.pictures import encode, noise

ELECTRONS = 400  # most that a pixel of the photograph collects; the noise is the square root of their number


class PictureFile(NamedTuple):
    """What tests.benchmarks.load.form takes."""

    data: bytes
    name: str
    kind: str


@lru_cache
def photograph(width: int, height: int) -> np.ndarray:
    """Clouds of all sizes under photon noise, uint8 RGB of shape (height, width, 3).

    Amplitudes fall with frequency, as in photographs, and the noise is that of a phone's camera in dim light,
    so that files are as large as a camera's.
    """
    random = np.random.default_rng(0)

    def clouds(cells: int) -> np.ndarray:
        coarse = random.standard_normal((cells, cells), np.float32)
        return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))

    grey = sum(0.6**octave * clouds(4 << octave) for octave in range(9))
    light = np.stack([grey + clouds(4) / 2 for _ in range(3)], axis=2)
    light = 1 / (1 + np.exp(-light))
    light += np.sqrt(light / ELECTRONS) * random.standard_normal(light.shape, np.float32)
    return np.rint(255 * np.clip(light, 0, 1)).astype(np.uint8)


def small() -> PictureFile:
    """A PNG of the size that the model takes: 2 KB."""
    return PictureFile(encode(noise()), "x.png", "image/png")


def png() -> PictureFile:
    """A PNG of 1024x1024 pixels, as image generators write: 2.3 MB."""
    return PictureFile(encode(photograph(1024, 1024)), "x.png", "image/png")


def phone(**options: object) -> PictureFile:
    """A JPEG of 4000x3000 pixels, as phones write, at quality 90 with chroma at half the resolution: 3.4 MB.

    options: more of Pillow's, such as progressive=True.
    """
    picture = photograph(4000, 3000)
    data = encode(picture, "JPEG", quality=90, subsampling="4:2:0", **options)
    return PictureFile(data, "x.jpg", "image/jpeg")


PICTURES: dict[str, Callable[[], PictureFile]] = {"small": small, "png": png, "phone": phone}
