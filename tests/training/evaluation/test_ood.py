import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.ood import FLOOR
from model.predictor import Predictor
from training.evaluation.ood import describe, detection_rates, fit_detector
from training.evaluation.ood_images import KINDS


def means(random: np.random.Generator, count: int) -> np.ndarray:
    """Of four channels whose logarithms hang together."""
    mixing = np.array([[1, 0, 0, 0], [0.9, 0.1, 0, 0], [0, 0, 2, 0], [0, 0, 0, 0.01]])
    return np.exp(random.normal(size=(count, 4)) @ mixing)


def test_one_percent_are_false_alarms() -> None:
    random = np.random.default_rng(0)
    domain = fit_detector(means(random, 5000), means(random, 4000))
    unseen = means(random, 50_000)
    assert 0.007 < 1 - domain.contains(unseen).mean() < 0.013
    assert 0.7 < domain.distance(unseen).mean() < 1.1


def test_what_breaks_a_habit_is_found() -> None:
    """Each channel within its range, but not together."""
    random = np.random.default_rng(1)
    domain = fit_detector(means(random, 5000), means(random, 4000))
    assert domain.contains(np.exp([[0, 0, 0, 0], [0, 0, 2, 0]])).all()
    odd = np.exp([[2.0, -2.0, 0, 0]])
    assert not domain.contains(odd)[0]
    assert not domain.contains(np.full((1, 4), FLOOR))[0]


def test_few_pictures_are_all_in_the_domain() -> None:
    random = np.random.default_rng(2)
    unseen = means(random, 99)
    assert fit_detector(means(random, 300), unseen).contains(unseen).all()
    unseen = means(random, 299)
    assert (~fit_detector(means(random, 300), unseen).contains(unseen)).sum() == 2


def test_rounding_takes_nothing_out_of_the_domain() -> None:
    """An engine's means differ in the last digits from batch to batch."""
    random = np.random.default_rng(3)
    unseen = np.exp(random.normal(size=(99, 200))).astype(np.float32)
    domain = fit_detector(np.exp(random.normal(size=(500, 200))), unseen)
    assert domain.mean.dtype == domain.whitening.dtype == np.float32
    for seed in range(20):
        noise = np.random.default_rng(seed).uniform(-1e-6, 1e-6, unseen.shape)
        assert domain.contains(unseen * (1 + noise)).all()


def test_the_shipped_model_finds_strange_pictures(shipped: Predictor) -> None:
    found = detection_rates(shipped, 20)
    assert list(found) == list(KINDS)
    assert np.mean(list(found.values())) > 0.85
    assert f"{found['text']:7.1%}" in describe(found)


def test_a_checkpoint_without_domain_is_told(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="does not know its domain"):
        detection_rates(Predictor.from_checkpoint(random_checkpoint, "cpu"), 1)
