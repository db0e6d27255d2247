from typing import Any

import numpy as np
import pytest

from training.evaluation.metrics import wilson_interval
from training.evaluation.validation_overlap import describe_overlap, has_unseen, overlap_metrics

LABELS = np.array([1, 0] * 5)
PREDICTIONS = np.where(np.arange(10) < 8, LABELS, 1 - LABELS).astype(float)  # the last two are wrong


@pytest.mark.parametrize("count", range(11))
def test_both_figures_or_none(count: int) -> None:
    found = overlap_metrics(np.arange(10) < count, PREDICTIONS, LABELS)
    assert found["validation_overlap"] == {
        "count": count,
        "total": 10,
        "of": "the initial weights' training data",
    }
    assert has_unseen(found) is (count < 10)
    text = describe_overlap(found)
    assert text.startswith(f"{count} of the 10 validation pictures stand in the initial weights'")
    if not 0 < count < 10:
        assert "validation_unseen" not in found
        assert ("no figure for unseen pictures" in text) is (count == 10)
        return
    right = max(0, 8 - count)
    unseen = found["validation_unseen"]
    assert unseen["pictures"] == 10 - count
    assert unseen["accuracy"] == pytest.approx(right / (10 - count))
    assert unseen["accuracy_interval"] == list(wilson_interval(right, 10 - count))
    assert f"On the other {10 - count}: accuracy {unseen['accuracy']:.2%}" in text


@pytest.mark.parametrize(
    ("metrics", "text"), [({}, ""), (overlap_metrics(None, PREDICTIONS, LABELS), "It is not known what")]
)
def test_nothing_is_claimed_that_is_not_known(metrics: dict[str, Any], text: str) -> None:
    assert has_unseen(metrics)
    assert describe_overlap(metrics).startswith(text)
    assert bool(describe_overlap(metrics)) is bool(text)
