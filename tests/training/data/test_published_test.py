from pathlib import Path

import numpy as np
import pytest

from model.images.preprocess import Preprocess
from tests.pictures import noise
from training.data import published_test
from training.data.datasets import load_test
from training.data.errors import DataError
from training.data.fingerprints import read_fingerprints
from training.data.labelled_images import LabelledImages
from training.data.published_test import COUNT, OURS, SHA256, describe_selection, select_ours


def pictures(count: int) -> LabelledImages:
    images = np.stack([noise(seed) for seed in range(count)])
    return LabelledImages(images, np.zeros(count, np.uint8), [str(i) for i in range(count)], [])


def test_the_file_is_whole() -> None:
    """24 of the 10,000 pictures are copies of others."""
    known = read_fingerprints(OURS, SHA256)
    assert known is not None
    assert len(known) == COUNT - 24


def test_pictures_of_no_half_are_an_error() -> None:
    with pytest.raises(DataError, match="none of the 3 pictures is in the project's half"):
        select_ours(pictures(3))


def test_a_missing_file_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(published_test, "OURS", tmp_path / "x.fingerprints")
    with pytest.raises(DataError, match="part of the project"):
        select_ours(pictures(1))


def test_the_published_data(data: Path) -> None:
    found = load_test(data / "cifake", Preprocess()).pictures
    ours = select_ours(found)
    assert (len(ours), ours.digest()) == (COUNT, SHA256)
    assert "pixel for pixel" in describe_selection(ours, len(found))
