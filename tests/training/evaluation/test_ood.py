import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.ood import FLOOR, MahalanobisDetector, OodFeatures
from model.predictor import Predictor
from training.evaluation.ood import describe, detection_rates, fit_detectors
from training.evaluation.ood_images import KINDS


def means(random: np.random.Generator, count: int) -> np.ndarray:
    """Four channels whose logarithms are correlated."""
    mixing = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0.01]])
    return np.exp(random.normal(size=(count, 4)) @ mixing)


def features(random: np.random.Generator, count: int) -> OodFeatures:
    """Statistics that have nothing to do with the means."""
    return OodFeatures(means(random, count), np.exp(random.normal(size=(count, 3))))


def outside(detectors: tuple[MahalanobisDetector, ...], images: OodFeatures) -> np.ndarray:
    """Whether each detector does not contain each image, bool of shape (2, N)."""
    return np.stack([~one.contains(values) for one, values in zip(detectors, images, strict=True)])


def test_false_positive_rate_of_both_is_one_percent() -> None:
    random = np.random.default_rng(0)
    detectors = fit_detectors(features(random, 5000), features(random, 4000))
    unseen = features(random, 50_000)
    beyond = outside(detectors, unseen)
    assert 0.007 < beyond.any(0).mean() < 0.013
    assert (beyond.mean(1) > 0.003).all()
    assert (beyond.mean(1) < 0.008).all()
    for one, values in zip(detectors, unseen, strict=True):
        assert 0.7 < one.distance(values).mean() < 1.1


def test_what_is_far_by_one_is_far_by_both() -> None:
    """Then each may have 1 % of the validation pictures beyond its threshold."""
    random = np.random.default_rng(4)
    same = means(random, 1000)
    detectors = fit_detectors(OodFeatures(same, same), OodFeatures(same, same))
    beyond = outside(detectors, OodFeatures(same, same))
    assert beyond.sum(1).tolist() == [10, 10]
    assert (beyond[0] == beyond[1]).all()


def test_features_that_may_be_negative_have_no_logarithm() -> None:
    random = np.random.default_rng(0)
    train, validation, unseen = (random.normal(-3, 1, (count, 4)) for count in (5000, 4000, 50_000))
    images = OodFeatures(means(random, 5000), train), OodFeatures(means(random, 4000), validation)
    logarithmic, detector = fit_detectors(*images)
    assert not detector.log
    assert logarithmic.log
    assert 0.003 < 1 - detector.contains(unseen).mean() < 0.008
    assert not detector.contains(np.full((1, 4), 3.0))[0]


def test_a_broken_correlation_is_detected() -> None:
    """Each channel is within its range, the combination is not."""
    random = np.random.default_rng(1)
    detector, _ = fit_detectors(features(random, 5000), features(random, 4000))
    assert detector.contains(np.exp([[0, 0, 0, 0], [0, 0, 2, 0]])).all()
    odd = np.exp([[2.0, -2.0, 0, 0]])
    assert not detector.contains(odd)[0]
    assert not detector.contains(np.full((1, 4), FLOOR))[0]


@pytest.mark.parametrize("count", [20, 99, 100, 299, 1000])
def test_false_positives_are_at_most_one_percent(count: int) -> None:
    random = np.random.default_rng(count)
    validation = features(random, count)
    beyond = outside(fit_detectors(features(random, 300), validation), validation)
    assert beyond.any(0).sum() <= count // 100
    assert beyond[0].sum() == beyond[1].sum()
    assert beyond.any(0).sum() >= count // 100 - 1  # the next farthest two would be one too many


def test_rounding_makes_no_false_positives() -> None:
    """An engine's means depend on the batch size in the last digits."""
    random = np.random.default_rng(3)
    unseen = OodFeatures(*np.exp(random.normal(size=(2, 99, 200))).astype(np.float32))
    detectors = fit_detectors(OodFeatures(*np.exp(random.normal(size=(2, 500, 200)))), unseen)
    for detector, values in zip(detectors, unseen, strict=True):
        assert detector.mean.dtype == detector.whitening.dtype == np.float32
        for seed in range(20):
            noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, values.shape)
            assert detector.contains(values * (1 + noise)).all()


def test_the_shipped_model_detects_ood_pictures(shipped: Predictor) -> None:
    rates = detection_rates(shipped, 20)
    assert list(rates) == list(KINDS)
    assert np.mean(list(rates.values())) > 0.85
    [line] = [line for line in describe(rates, 20).splitlines() if line.startswith("text ")]
    assert float(line.split()[1].rstrip("%")) == pytest.approx(100 * rates["text"], abs=0.5)


def test_a_checkpoint_without_detector_is_an_error(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="has no OOD detector"):
        detection_rates(Predictor.from_checkpoint(random_checkpoint, "cpu"), 1)
