import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from tests.pictures import noise
from tests.stand_in_device import StandInDevice
from training.data.jpeg import jpeg_reencode, reencode

QUALITIES = torch.arange(1, 96)


def pictures(kind: str, count: int, height: int, width: int) -> np.ndarray:
    """Pictures like those trained on, random pixels, and pixels of 0 and 255 alone, uint8 (N, H, W, 3)."""
    random = np.random.default_rng(0)
    pixels = random.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    if kind == "extreme":
        return np.where(pixels < 128, np.uint8(0), np.uint8(255))
    if kind == "natural":
        tiles = np.tile(np.stack([noise(seed) for seed in range(count)]), (1, 2, 2, 1))
        return np.ascontiguousarray(tiles[:, :height, :width])
    return pixels


def by_pillow(images: np.ndarray, qualities: Tensor) -> np.ndarray:
    pairs = zip(images, qualities.tolist(), strict=True)
    return np.stack([np.asarray(reencode(Image.fromarray(image), "JPEG", q)) for image, q in pairs])


def by_batch(images: np.ndarray, qualities: Tensor) -> np.ndarray:
    batch = torch.from_numpy(images).permute(0, 3, 1, 2)
    return jpeg_reencode(batch, qualities).permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("kind", ["natural", "random", "extreme"])
@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 16), (24, 40), (18, 6), (17, 31)])
def test_a_batch_has_the_pixels_that_libjpeg_gives(kind: str, height: int, width: int) -> None:
    """To the last bit, at all qualities, also for sides that are no multiple of 16 pixels."""
    images = pictures(kind, len(QUALITIES), height, width)
    np.testing.assert_array_equal(by_batch(images, QUALITIES), by_pillow(images, QUALITIES))


def test_another_device_gives_the_same_pixels() -> None:
    """One without 64-bit floats, and with no operation on tensors of both devices."""
    batch = torch.from_numpy(pictures("natural", 5, 32, 32)).permute(0, 3, 1, 2)
    with StandInDevice():
        there = jpeg_reencode(batch.to("meta"), QUALITIES[::20]).cpu()
    assert torch.equal(there, jpeg_reencode(batch, QUALITIES[::20]))


def test_jpeg_changes_little_at_high_quality_and_more_at_low() -> None:
    picture = noise()[None].copy()
    high, low = (np.abs(by_batch(picture, torch.tensor([q])).astype(int) - picture).mean() for q in (95, 10))
    assert high < 8
    assert low > high
