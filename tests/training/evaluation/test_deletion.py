
import numpy as np
import pytest
import torch

from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.predictor import Predictor
from tests.pictures import noise
from training.evaluation.deletion import deletion, describe


class Spotter(Predictor):
    """Its logit is how bright the brightest spot is, and its heat map says so."""

    def logits(self, pictures: np.ndarray) -> np.ndarray:  # type: ignore[override]
        return pictures.max((1, 2, 3)) / 10

    def explain(  # type: ignore[override]
        self, pictures: np.ndarray, layer: str = "layer2", predictions: np.ndarray | None = None
    ) -> np.ndarray:
        np.testing.assert_array_equal(predictions, self.metadata.probability(self.logits(pictures)))
        return pictures.mean(3).astype(np.float32) / 255


def spotted() -> np.ndarray:
    """Dark pictures, each with one bright spot."""
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (40, 32, 32, 3), dtype=np.uint8)
    for image in images:
        top, left = random.integers(0, 28, 2)
        image[top : top + 4, left : left + 4] = 250
    return images


def test_without_what_matters_the_logit_falls(random_checkpoint: Checkpoint) -> None:
    images = spotted()
    found = deletion(
        Spotter.from_checkpoint(random_checkpoint.updated(calibration=Calibration(2.0)), "cpu"), images
    )
    assert (25 - 20) / 2 < found["hottest"]["fall"] < 25 / 2
    assert found["elsewhere"]["fall"] < found["hottest"]["fall"] / 2
    assert found["patches"]["fall"] < found["hottest"]["fall"] / 2
    assert found["coldest"]["fall"] == pytest.approx(0)
    assert found["pictures"] == 40
    assert f"{found['hottest']['fall']:6.2f}" in describe(found)


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
@pytest.mark.parametrize(
    "change", [{"calibration": Calibration(2.0, shift=shift)} for shift in (-20.0, 0.0, 20.0)]
)
def test_it_is_the_answered_labels_logit(
    change: dict, positive_class: str, random_checkpoint: Checkpoint
) -> None:
    """All logits are above 0 and fall without the spot; that is a rise for label 0."""
    spotter = Spotter.from_checkpoint(
        random_checkpoint.updated(positive_class=positive_class, **change), "cpu"
    )
    images = spotted()
    answered = {spotter.decide(p).label for p in spotter.metadata.probability(spotter.logits(images))}
    assert len(answered) == 1
    fall = deletion(spotter, images)["hottest"]["fall"]
    assert (fall > 1) == (answered == {positive_class})
    assert (fall < -1) == (answered != {positive_class})


@pytest.mark.parametrize("size", [30, 33])
def test_sides_that_are_no_multiple_of_a_patch(size: int, random_checkpoint: Checkpoint) -> None:
    other = random_checkpoint.updated(preprocess=Preprocess(size))
    found = deletion(
        Predictor.from_checkpoint(other, "cpu"), np.stack([noise(seed, size, size) for seed in range(4)])
    )
    assert found["patches"]["fall"] != 0


def test_on_a_real_network(random_checkpoint: Checkpoint) -> None:
    torch.manual_seed(0)
    found = deletion(
        Predictor.from_checkpoint(random_checkpoint, "cpu"), np.stack([noise(seed) for seed in range(6)])
    )
    for name in ("hottest", "elsewhere", "patches", "coldest"):
        low, high = found[name]["interval"]
        assert low <= found[name]["fall"] <= high
