import numpy as np
import pytest
import torch
from PIL import Image

from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from tests.pictures import noise


def test_right_size_is_left_alone() -> None:
    picture = noise()
    assert Preprocess(32).resize(picture) is picture


def test_reduction_averages_and_does_not_alias() -> None:
    checks = np.indices((64, 64)).sum(0) % 2 * 255
    picture = np.repeat(checks[..., None], 3, 2).astype(np.uint8)
    assert np.abs(Preprocess(32).resize(picture).astype(int) - 127).max() <= 3  # the edge sees one row less


def test_a_batch_of_all_sizes() -> None:
    batch = Preprocess(32).to_batch([noise(1), noise(2, 40, 80), noise(3, 8, 8)])
    assert batch.shape == (3, 32, 32, 3)
    assert batch.dtype == np.uint8
    assert (batch[0] == noise(1)).all()


def test_an_empty_batch() -> None:
    assert Preprocess(32).to_batch([]).shape == (0, 32, 32, 3)


def test_normalize_is_the_textbook_formula() -> None:
    preprocess = Preprocess(32, IMAGENET_MEAN, IMAGENET_STD)
    batch = torch.from_numpy(preprocess.to_batch([noise()])).permute(0, 3, 1, 2)
    expected = (batch / 255 - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(
        3, 1, 1
    )
    torch.testing.assert_close(preprocess.normalize(batch), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    "picture", [np.zeros((32, 32), np.uint8), np.zeros((32, 32, 4), np.uint8), np.zeros((32, 32, 3))]
)
def test_other_arrays_are_refused(picture: np.ndarray) -> None:
    with pytest.raises(ValueError, match="uint8 of shape"):
        Preprocess().resize(picture)


@pytest.mark.parametrize(("height", "width"), [(33, 32), (31, 32), (64, 48), (8, 8), (100, 100)])
def test_other_sizes_are_resampled(height: int, width: int) -> None:
    assert Preprocess(32).fit(noise(0, height, width)).resampled
    assert not Preprocess(32).fit(noise(0)).resampled


def test_an_enlargement_is_taken_back() -> None:
    picture = np.random.default_rng(0).integers(40, 216, (32, 32, 3), dtype=np.uint8)
    enlarged = np.asarray(Image.fromarray(picture).resize((128, 128), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(Preprocess(32).resize(enlarged), picture)
    assert not Preprocess(32).fit(enlarged).resampled
