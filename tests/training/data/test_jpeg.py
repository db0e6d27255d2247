import numpy as np

from tests.pictures import noise
from training.data.jpeg import jpeg_reencode


def test_jpeg_changes_little_at_high_quality_and_more_at_low() -> None:
    picture = noise()
    high, low = (np.abs(jpeg_reencode(picture, q).astype(int) - picture).mean() for q in (95, 10))
    assert high < 8
    assert low > high
