from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.networks import build_narrow_networks
from tests.training.fitting.loop.recipes import RECIPE
from training.data.labelled_images import LabelledImages
from training.fitting import loop
from training.fitting.loop import train


@pytest.fixture(scope="module", autouse=True)
def _narrow() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        build_narrow_networks(patch)
        yield


@pytest.fixture(scope="module")
def data() -> tuple[LabelledImages, LabelledImages]:
    """Training and validation images: noise, with a checkerboard for label 1, learnt within a few steps."""
    random = np.random.default_rng(0)
    images = random.integers(90, 166, (80, 16, 16, 3), dtype=np.uint8)
    labels = (np.arange(80) % 2).astype(np.uint8)
    checks = (np.indices((16, 16)).sum(0) % 2 * 80).astype(np.uint8)
    images[labels == 1] += checks[..., None]
    everything = LabelledImages(images, labels, [str(i) for i in range(80)], [])
    return everything.select(np.arange(64)), everything.select(np.arange(64, 80))


@pytest.fixture(scope="module")
def uninterrupted(
    data: tuple[LabelledImages, LabelledImages], tmp_path_factory: pytest.TempPathFactory
) -> loop.TrainingResult:
    return train(RECIPE, *data, tmp_path_factory.mktemp("run") / "state", device="cpu")


@pytest.fixture(scope="module")
def objects(data: tuple[LabelledImages, LabelledImages]) -> tuple[LabelledImages, LabelledImages]:
    """The same, with a square at one of ten places, which the names tell as CIFAKE's do."""
    training, validation = data
    images, places = training.images.copy(), np.arange(64) // 2 % 10
    for image, place in zip(images, places, strict=True):
        row, column = 4 * (place // 4) + 2, 4 * (place % 4)
        image[row : row + 4, column : column + 4] = (250, 0, 0)
    names = [f"{i} ({place + 1}).jpg" if place else f"{i}.jpg" for i, place in enumerate(places)]
    return replace(training, images=images, names=names), validation
