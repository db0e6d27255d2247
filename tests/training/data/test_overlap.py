import numpy as np
import pytest
from PIL import Image

from tests.pictures import noise
from training.data.jpeg import reencode
from training.data.overlap import MATCH_RMSE, nearest


def test_nearest_neighbour_and_its_distance() -> None:
    others = np.stack([noise(seed) for seed in range(40)])
    pictures = others[[7, 3]].copy()
    pictures[1] += 2 * (pictures[1] < 128).astype(np.uint8)
    index, distance = nearest(pictures, others)
    assert index.tolist() == [7, 3]
    assert distance[0] == pytest.approx(0, abs=0.05)
    luma = (pictures[1].astype(float) - others[3]) @ (0.299, 0.587, 0.114)
    exact = np.sqrt((luma**2).mean())
    assert distance[1] == pytest.approx(exact, rel=0.01)


def test_a_jpeg_of_high_quality_matches_and_another_picture_does_not() -> None:
    others = np.stack([noise(seed) for seed in range(40)])
    saved = np.stack([np.asarray(reencode(Image.fromarray(picture), "JPEG", 95)) for picture in others[:5]])
    index, distance = nearest(saved, others)
    assert index.tolist() == [0, 1, 2, 3, 4]
    assert (distance < MATCH_RMSE).all()
    _, distance = nearest(np.stack([noise(99)]), others)
    assert distance[0] > 2 * MATCH_RMSE
