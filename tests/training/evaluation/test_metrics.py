import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from training.evaluation.metrics import (
    bootstrap_intervals,
    classification_metrics,
    describe,
    expected_calibration_error,
    reliability,
)

PREDICTIONS = np.array([0.9, 0.8, 0.3, 0.6, 0.2, 0.1])
LABELS = np.array([1, 1, 1, 0, 0, 0])


def test_counts_by_hand() -> None:
    metrics = classification_metrics(PREDICTIONS, LABELS)
    assert metrics["confusion"] == {"REAL": {"REAL": 2, "FAKE": 1}, "FAKE": {"REAL": 1, "FAKE": 2}}
    for name in ("accuracy", "precision", "recall", "f1"):
        assert metrics[name] == pytest.approx(2 / 3)
    assert metrics["auroc"] == pytest.approx(8 / 9)  # of nine pairs, only (0.3, 0.6) is in the wrong order


def test_wilson_interval() -> None:
    """Wilson 1927: 81 of 263 lie in 25.5 % to 36.6 %, the example of Newcombe 1998, table I."""
    predictions, labels = np.full(263, 0.9), np.zeros(263)
    labels[:81] = 1
    low, high = classification_metrics(predictions, labels)["accuracy_interval"]
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)


def test_calibration_error_by_hand() -> None:
    predictions, labels = np.array([0.9, 0.9, 0.9, 0.9, 0.1]), np.array([1, 1, 1, 0, 0])
    # Confidence is 0.9 five times, accuracy 4/5.
    assert expected_calibration_error(predictions, labels) == pytest.approx(0.1)


def test_calibration_error_of_certain_and_correct_predictions() -> None:
    assert expected_calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0


def test_one_label_is_an_error() -> None:
    with pytest.raises(ValueError, match="both labels"):
        classification_metrics(np.array([0.5, 0.6]), np.array([1, 1]))


def test_description_has_every_metric() -> None:
    text = describe(classification_metrics(PREDICTIONS, LABELS))
    for word in (
        "accuracy            67%  30% to 90%",
        "95 % interval",
        "precision",
        "recall",
        "F1",
        "AUROC",
        "ECE",
    ):
        assert word in text
    assert text.splitlines()[-2:] == ["REAL                2     1", "FAKE                1     2"]


def test_bootstrap_intervals_contain_the_metric() -> None:
    random = np.random.default_rng(1)
    labels = np.arange(400) % 2
    predictions = np.clip(labels * 0.4 + random.uniform(0, 0.6, 400), 0, 1)
    metrics = classification_metrics(predictions, labels)
    for name in ("precision", "recall", "f1", "auroc", "ece"):
        low, high = metrics[f"{name}_interval"]
        assert low < metrics[name] < high
    # The bootstrap interval of a proportion, here recall, is close to Wilson's.
    hits = round(metrics["recall"] * 200)
    exact = binomtest(hits, 200).proportion_ci(method="wilson")
    assert metrics["recall_interval"] == pytest.approx([exact.low, exact.high], abs=0.02)
    assert classification_metrics(predictions, labels) == metrics


def test_bootstrap_ranks_ties_by_half() -> None:
    predictions, labels = np.full(20, 0.7), np.arange(20) % 2
    assert bootstrap_intervals(predictions, labels, resamples=3)["auroc"] == [0.5, 0.5]


@given(st.integers(1, 400), st.integers(0, 2**32 - 1))
@settings(derandomize=True, deadline=None)
def test_bins_of_reliability_have_equally_many_pictures(count: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    predictions, labels = random.random(count).round(2), random.integers(0, 2, count)
    bins = reliability(predictions, labels)
    assert len(bins) == min(15, max(1, count // 20))
    confidence, accuracy, pictures = (
        np.array([each[name] for each in bins]) for name in ("confidence", "accuracy", "pictures")
    )
    low, high = np.array([each["accuracy_interval"] for each in bins]).T
    assert (np.diff(confidence) >= 0).all()
    assert (confidence >= 0.5).all()
    assert ((low <= accuracy + 1e-12) & (accuracy <= high + 1e-12)).all()
    assert pictures.sum() == count
    assert np.ptp(pictures) <= 1
    correct = (predictions >= 0.5) == (labels == 1)
    assert (accuracy * pictures).sum() == pytest.approx(correct.sum())
