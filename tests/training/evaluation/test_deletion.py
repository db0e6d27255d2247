import numpy as np
import pytest
import torch

from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.ood import OodFeatures
from model.predictor import Predictor
from tests.pictures import noise
from training.evaluation.deletion import deletion, describe


class MaxBrightness(Predictor):
    """The logit is the brightness of the brightest pixel, the heat map that of each pixel."""

    def forward(self, pictures: np.ndarray, use_all_cores: bool = True) -> tuple:  # type: ignore[override]
        nothing = np.zeros((len(pictures), 1))
        return pictures.max((1, 2, 3)) / 10, OodFeatures(nothing, nothing)

    def explain(  # type: ignore[override]
        self, pictures: np.ndarray, layer: str = "layer2", predictions: np.ndarray | None = None
    ) -> np.ndarray:
        np.testing.assert_array_equal(predictions, self.metadata.probability(self.logits(pictures)))
        return pictures.mean(3).astype(np.float32) / 255


def pictures_with_spot() -> np.ndarray:
    """Dark pictures with one bright spot each."""
    random = np.random.default_rng(0)
    images = random.integers(0, 60, (40, 32, 32, 3), dtype=np.uint8)
    for image in images:
        top, left = random.integers(0, 28, 2)
        image[top : top + 4, left : left + 4] = 250
    return images


def test_the_logit_drops_without_the_brightest_pixels(random_checkpoint: Checkpoint) -> None:
    images = pictures_with_spot()
    result = deletion(
        MaxBrightness.from_checkpoint(random_checkpoint.with_metadata(calibration=Calibration(2.0)), "cpu"),
        images,
    )
    assert (25 - 20) / 2 < result["highest"]["drop"] < 25 / 2
    assert result["other_picture"]["drop"] < result["highest"]["drop"] / 2
    assert result["random_patches"]["drop"] < result["highest"]["drop"] / 2
    assert result["lowest"]["drop"] == pytest.approx(0)
    assert result["pictures"] == 40
    header, highest, *_ = describe(result).splitlines()
    assert header.endswith("drop of the logit  95 % interval")
    assert float(highest.split()[3]) == pytest.approx(result["highest"]["drop"], abs=0.05)


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
@pytest.mark.parametrize(
    "change", [{"calibration": Calibration(2.0, shift=shift)} for shift in (-20.0, 0.0, 20.0)]
)
def test_the_logit_is_that_of_the_predicted_label(
    change: dict, positive_class: str, random_checkpoint: Checkpoint
) -> None:
    """Without the spot all logits drop, which is a rise of label 0's logit."""
    predictor = MaxBrightness.from_checkpoint(
        random_checkpoint.with_metadata(positive_class=positive_class, **change), "cpu"
    )
    images = pictures_with_spot()
    predicted = {predictor.decide(p).label for p in predictor.metadata.probability(predictor.logits(images))}
    assert len(predicted) == 1
    drop = deletion(predictor, images)["highest"]["drop"]
    assert (drop > 1) == (predicted == {positive_class})
    assert (drop < -1) == (predicted != {positive_class})


@pytest.mark.parametrize("size", [30, 33])
def test_sides_that_are_no_multiple_of_the_patch(size: int, random_checkpoint: Checkpoint) -> None:
    other = random_checkpoint.with_metadata(preprocess=Preprocess(size))
    result = deletion(
        Predictor.from_checkpoint(other, "cpu"), np.stack([noise(seed, size, size) for seed in range(4)])
    )
    assert result["random_patches"]["drop"] != 0


def test_on_a_real_network(random_checkpoint: Checkpoint) -> None:
    torch.manual_seed(0)
    result = deletion(
        Predictor.from_checkpoint(random_checkpoint, "cpu"), np.stack([noise(seed) for seed in range(6)])
    )
    for name in ("highest", "other_picture", "random_patches", "lowest"):
        low, high = result[name]["drop_interval"]
        assert low <= result[name]["drop"] <= high
