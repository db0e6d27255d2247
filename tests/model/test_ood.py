from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint
from model.metadata import CheckpointError
from model.ood import FLOOR, MahalanobisDetector, domain

# Mean at exp(1) and exp(2), one unit of distance at twice as much in the first, three times in the second.
DETECTOR = MahalanobisDetector(np.array([1.0, 2.0]), np.diag([1 / np.log(2), 1 / np.log(3)]), threshold=1.5)


def means(*factors: float) -> np.ndarray:
    return (np.exp([[1.0, 2.0]]) * factors - FLOOR).astype(np.float32)


def test_distance_by_hand() -> None:
    assert DETECTOR.distance(means(1, 1))[0] == pytest.approx(0, abs=1e-5)
    assert DETECTOR.distance(means(2, 1))[0] == pytest.approx(np.sqrt(1 / 2), rel=1e-4)
    assert DETECTOR.distance(means(1 / 2, 9))[0] == pytest.approx(np.sqrt((1 + 4) / 2), rel=1e-4)


def test_near_is_in_and_far_is_out() -> None:
    several = np.concatenate([means(1, 1), means(2, 3), means(1, 27), -FLOOR / 2 * np.ones((1, 2))])
    assert DETECTOR.contains(several).tolist() == [True, True, False, False]
    assert DETECTOR.contains(np.empty((0, 2))).tolist() == []


def test_without_the_logarithm_features_may_be_negative() -> None:
    detector = replace(DETECTOR, whitening=np.diag([0.5, 0.25]), log=False)
    features = np.array([[1.0, 2.0], [-1.0, 2.0], [1.0, -10.0]])
    np.testing.assert_allclose(detector.distance(features), [0, np.sqrt(1 / 2), np.sqrt(9 / 2)])
    assert detector.contains(features).tolist() == [True, True, False]


@pytest.mark.parametrize("by_content", [True, False, None])
def test_what_was_resampled_is_out_for_its_size_and_the_rest_is_judged_by_content(
    by_content: bool | None,
) -> None:
    assert domain(by_content, resampled=True) == (False, "size")
    assert domain(by_content, resampled=False) == (by_content, "content" if by_content is False else None)


DETECTORS = ["ood_detector", "image_detector"]


@pytest.mark.parametrize("log", [True, False])
@pytest.mark.parametrize("kind", DETECTORS)
def test_it_travels_in_the_checkpoint(
    kind: str, log: bool, random_checkpoint: Checkpoint, tmp_path: Path
) -> None:
    random_checkpoint.with_metadata(**{kind: replace(DETECTOR, log=log)}).save(tmp_path / "x.pth")
    metadata = Checkpoint.load(tmp_path / "x.pth").metadata
    assert [getattr(metadata, other) for other in DETECTORS if other != kind] == [None]
    loaded = getattr(metadata, kind)
    assert loaded.log is log
    assert ("log" in loaded.to_dict()) is not log
    assert loaded.threshold == DETECTOR.threshold
    np.testing.assert_allclose(loaded.mean, DETECTOR.mean)
    np.testing.assert_allclose(loaded.whitening, DETECTOR.whitening, rtol=1e-6)


@pytest.mark.parametrize("kind", DETECTORS)
def test_half_a_detector_is_refused(random_checkpoint: Checkpoint, tmp_path: Path, kind: str) -> None:
    random_checkpoint.with_metadata(**{kind: DETECTOR}).save(tmp_path / "x.pth")
    content = torch.load(tmp_path / "x.pth", weights_only=True)
    del content[kind]["whitening"]
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match="incomplete checkpoint.*whitening"):
        Checkpoint.load(tmp_path / "x.pth")
    del content[kind]  # as in files from before there was one
    torch.save(content, tmp_path / "x.pth")
    assert getattr(Checkpoint.load(tmp_path / "x.pth").metadata, kind) is None
