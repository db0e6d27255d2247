import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from model.images.statistics import LUMA, STATISTICS, image_statistics
from tests.pictures import noise

LUMA_COLUMN, DEVIATION, RIGHT, DOWN, LAPLACIAN, WEAK, RED, EQUAL_RIGHT, EQUAL_DOWN = range(len(STATISTICS))

IMAGES = st.tuples(st.integers(1, 3), st.integers(3, 6), st.integers(3, 6)).flatmap(
    lambda shape: arrays(np.uint8, (*shape, 3))
)


def of(*pictures: np.ndarray) -> np.ndarray:
    return image_statistics(np.stack(pictures))


def test_by_hand() -> None:
    """Vertical stripes of black and white, one pixel wide."""
    stripes = np.zeros((4, 4, 3), np.uint8)
    stripes[:, 1::2] = 255
    [found] = of(stripes)
    # Two of each inner pixel's neighbours differ by 1: a Laplacian of 2, whose squared mean root is 2 too.
    np.testing.assert_allclose(found, [0.5, 0.5, 1, 0, 2, 2, 0, 0, 1], atol=1e-5)


def test_weak_edges_are_emphasised() -> None:
    edge, shading = np.zeros((2, 32, 32, 3), np.uint8)
    edge[:, 16:] = 200
    shading[:] = noise(0) // 16
    found = of(edge, shading)
    emphasis = found[:, WEAK] / found[:, LAPLACIAN]
    assert emphasis[0] < 0.1 < 0.5 < emphasis[1]


def test_a_plain_picture() -> None:
    colour = np.array([200, 100, 50])
    [found] = of(np.broadcast_to(colour, (32, 32, 3)).astype(np.uint8))
    assert found[LUMA_COLUMN] == pytest.approx(colour @ LUMA / 255, abs=1e-5)
    assert found[[EQUAL_RIGHT, EQUAL_DOWN]].tolist() == [1, 1]
    np.testing.assert_allclose(np.delete(found, [LUMA_COLUMN, EQUAL_RIGHT, EQUAL_DOWN]), 0, atol=1e-6)


def test_equal_neighbours_have_all_channels_in_common() -> None:
    picture = np.zeros((3, 3, 3), np.uint8)
    for channel in range(3):
        picture[channel, 1, channel] = 1
    [found] = of(picture)
    assert found[[EQUAL_RIGHT, EQUAL_DOWN]].tolist() == [0, pytest.approx(4 / 6)]


@given(IMAGES)
def test_ranges_and_symmetries(images: np.ndarray) -> None:
    found = image_statistics(images)
    assert found.shape == (len(images), len(STATISTICS))
    assert found.dtype == np.float32
    assert (found >= 0).all()
    assert (found <= 4.001).all()
    assert (np.delete(found, [LAPLACIAN, WEAK, RED], axis=1) <= 1.001).all()
    assert (found[:, WEAK] <= found[:, LAPLACIAN] + 1e-5).all()
    np.testing.assert_allclose(image_statistics(images[:, ::-1]), found, atol=1e-4)
    np.testing.assert_allclose(image_statistics(images[:, :, ::-1]), found, atol=1e-4)
    turned = image_statistics(images.swapaxes(1, 2))
    np.testing.assert_allclose(
        turned[:, [DOWN, RIGHT, EQUAL_DOWN]], found[:, [RIGHT, DOWN, EQUAL_RIGHT]], atol=1e-4
    )
    for number in range(len(images)):
        np.testing.assert_allclose(image_statistics(images[number : number + 1])[0], found[number], atol=1e-5)


def test_no_images() -> None:
    assert image_statistics(np.empty((0, 32, 32, 3), np.uint8)).shape == (0, len(STATISTICS))
