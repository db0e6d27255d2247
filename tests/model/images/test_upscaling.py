import io

import numpy as np
import pytest
from PIL import Image
from PIL.Image import Resampling

from model.images.upscaling import KERNELS, undo_upscaling
from tests.pictures import encode, noise

SHARP = np.random.default_rng(0).integers(40, 216, (32, 32, 3), dtype=np.uint8)


def enlarged(picture: np.ndarray, width: int, height: int, kernel: Resampling) -> np.ndarray:
    return np.asarray(Image.fromarray(picture).resize((width, height), kernel))


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("size", [(64, 64), (128, 128), (224, 224), (96, 64), (32, 512)])
def test_what_was_enlarged_is_found_again(kernel: Resampling, size: tuple[int, int]) -> None:
    found = undo_upscaling(enlarged(SHARP, *size, kernel), 32)
    assert found is not None
    assert found.dtype == np.uint8
    assert np.abs(found.astype(int) - SHARP).mean() < 0.5


def test_compression_of_the_enlargement_does_little() -> None:
    data = encode(enlarged(noise(1), 128, 128, Resampling.BICUBIC), "JPEG", quality=90)
    found = undo_upscaling(np.asarray(Image.open(io.BytesIO(data))), 32)
    assert found is not None
    assert np.abs(found.astype(int) - noise(1)).mean() < 1


@pytest.mark.parametrize(
    "picture",
    [
        np.random.default_rng(0).integers(0, 256, (128, 128, 3), dtype=np.uint8),  # detail of its own
        enlarged(SHARP, 100, 100, Resampling.BICUBIC),  # not by a whole number
        enlarged(SHARP, 16, 64, Resampling.BICUBIC),
        enlarged(SHARP, 32 * 17, 32, Resampling.NEAREST),
        SHARP,
    ],
)
def test_other_pictures_are_not(picture: np.ndarray) -> None:
    assert undo_upscaling(picture, 32) is None
