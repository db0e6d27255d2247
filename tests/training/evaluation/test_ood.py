import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.ood import FLOOR
from model.predictor import Predictor
from training.evaluation.ood import describe, detection_rates, fit_detector
from training.evaluation.ood_images import KINDS


def means(random: np.random.Generator, count: int) -> np.ndarray:
    """Four channels whose logarithms are correlated."""
    mixing = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0.01]])
    return np.exp(random.normal(size=(count, 4)) @ mixing)


def test_false_positive_rate_is_one_percent() -> None:
    random = np.random.default_rng(0)
    detector = fit_detector(means(random, 5000), means(random, 4000))
    unseen = means(random, 50_000)
    assert 0.007 < 1 - detector.contains(unseen).mean() < 0.013
    assert 0.7 < detector.distance(unseen).mean() < 1.1


def test_a_broken_correlation_is_detected() -> None:
    """Each channel is within its range, the combination is not."""
    random = np.random.default_rng(1)
    detector = fit_detector(means(random, 5000), means(random, 4000))
    assert detector.contains(np.exp([[0, 0, 0, 0], [0, 0, 2, 0]])).all()
    odd = np.exp([[2.0, -2.0, 0, 0]])
    assert not detector.contains(odd)[0]
    assert not detector.contains(np.full((1, 4), FLOOR))[0]


def test_false_positives_are_rounded_down() -> None:
    random = np.random.default_rng(2)
    unseen = means(random, 99)
    assert fit_detector(means(random, 300), unseen).contains(unseen).all()
    unseen = means(random, 299)
    assert (~fit_detector(means(random, 300), unseen).contains(unseen)).sum() == 2


def test_rounding_makes_no_false_positives() -> None:
    """An engine's means depend on the batch size in the last digits."""
    random = np.random.default_rng(3)
    unseen = np.exp(random.normal(size=(99, 200))).astype(np.float32)
    detector = fit_detector(np.exp(random.normal(size=(500, 200))), unseen)
    assert detector.mean.dtype == detector.whitening.dtype == np.float32
    for seed in range(20):
        noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, unseen.shape)
        assert detector.contains(unseen * (1 + noise)).all()


def test_the_shipped_model_detects_ood_pictures(shipped: Predictor) -> None:
    rates = detection_rates(shipped, 20)
    assert list(rates) == list(KINDS)
    assert np.mean(list(rates.values())) > 0.85
    [line] = [line for line in describe(rates, 20).splitlines() if line.startswith("text ")]
    assert float(line.split()[1].rstrip("%")) == pytest.approx(100 * rates["text"], abs=0.5)


def test_a_checkpoint_without_detector_is_an_error(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="has no OOD detector"):
        detection_rates(Predictor.from_checkpoint(random_checkpoint, "cpu"), 1)
