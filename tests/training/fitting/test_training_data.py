from dataclasses import replace

import numpy as np
import pytest
import torch

from model.images.preprocess import HALF, IMAGENET_MEAN, IMAGENET_STD, Preprocess
from training.data.labelled_images import LabelledImages
from training.fitting.recipes import RECIPES
from training.fitting.training_data import TrainingData, normalization

CPU = torch.device("cpu")
RECIPE = replace(RECIPES["quick"], label_smoothing=0.1)


@pytest.fixture
def pictures() -> LabelledImages:
    """Three of class 1 and one of class 0."""
    images = np.random.default_rng(0).integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
    return LabelledImages(images, np.array([1, 1, 0, 1], np.uint8), list("abcd"), [])


def test_images_labels_and_smoothed_targets(pictures: LabelledImages) -> None:
    data = TrainingData.of(pictures, RECIPE, CPU)
    assert torch.equal(data.images.permute(0, 2, 3, 1), torch.from_numpy(pictures.images))
    assert data.labels.tolist() == [1, 1, 0, 1]
    torch.testing.assert_close(data.targets, torch.tensor([0.95, 0.95, 0.05, 0.95]))
    assert data.weights.tolist() == [1] * 4
    assert {data.labels.dtype, data.targets.dtype, data.weights.dtype} == {torch.float32}


def test_soft_labels_are_the_targets(pictures: LabelledImages) -> None:
    soft = replace(pictures, soft_labels=np.array([0, 0.5, 1, 0.25], np.float32))
    data = TrainingData.of(soft, RECIPE, CPU)
    torch.testing.assert_close(data.targets, torch.tensor([0.05, 0.5, 0.95, 0.275]))
    assert data.labels.tolist() == [1, 1, 0, 1]


def test_balanced_classes_weigh_the_same(pictures: LabelledImages) -> None:
    weights = TrainingData.of(pictures, replace(RECIPE, balance=True), CPU).weights
    torch.testing.assert_close(weights, torch.tensor([2 / 3, 2 / 3, 2, 2 / 3]))


def test_objects_are_there_where_the_recipe_learns_them(pictures: LabelledImages) -> None:
    names = ["1.jpg", *(f"1 ({number}).jpg" for number in range(2, 11))]
    ten = replace(pictures.select(np.zeros(10, int)), names=names)
    learning = replace(RECIPE, object_weight=(0.5,))
    objects = TrainingData.of(ten, learning, CPU).objects
    assert objects is not None
    assert objects.tolist() == list(range(10))
    assert TrainingData.of(ten, RECIPE, CPU).objects is None
    assert TrainingData.of(pictures, learning, CPU).objects is None


@pytest.mark.parametrize(("mean", "std"), [(HALF, HALF), (IMAGENET_MEAN, IMAGENET_STD), ((0.0,) * 3, HALF)])
def test_normalization_is_that_of_the_preprocess(mean: tuple, std: tuple) -> None:
    """To the last bit and in its memory format, for all values of a pixel."""
    preprocess = Preprocess(16, mean, std)
    batch = torch.arange(256, dtype=torch.uint8).view(1, 16, 16, 1).expand(2, 16, 16, 3).permute(0, 3, 1, 2)
    found, expected = normalization(preprocess, CPU)(batch), preprocess.normalize(batch)
    assert torch.equal(found, expected)
    assert found.stride() == expected.stride()
