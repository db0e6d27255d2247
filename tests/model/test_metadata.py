import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import Architecture
from model.calibration import Calibration
from model.images.preprocess import Preprocess
from model.metadata import THRESHOLD, CheckpointMetadata
from model.ood import MahalanobisDetector, OodFeatures

CALIBRATIONS = st.builds(
    Calibration, st.floats(0.05, 20), st.floats(0.25, 4), st.floats(-5, 5)
)  # what training.fitting.calibration may find


@given(st.floats(-4, 4), CALIBRATIONS, st.sampled_from(["REAL", "FAKE"]))
@settings(deadline=None, derandomize=True)
def test_target_sign_is_where_the_answer_becomes_surer(
    z: float, calibration: Calibration, positive_class: str
) -> None:
    metadata = CheckpointMetadata(
        Architecture(),
        Preprocess(),
        positive_class=positive_class,
        calibration=calibration,
    )
    [prediction] = before = metadata.probability(np.array([z]))
    sign = metadata.target_sign(before)
    assert np.abs(sign).tolist() == [1]
    [after] = metadata.probability(z + sign)
    assert after >= prediction if prediction >= THRESHOLD else after <= prediction


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
def test_label_sign_by_hand(positive_class: str) -> None:
    metadata = CheckpointMetadata(Architecture(), Preprocess(), positive_class=positive_class)  # type: ignore[arg-type]
    sign = metadata.target_sign(np.array([0.0, 0.4, 0.5, 1.0]))
    assert sign.dtype == np.float32
    assert (sign * (1 if positive_class == "REAL" else -1)).tolist() == [-1, -1, 1, 1]


def test_the_domain_is_that_of_both_detectors() -> None:
    one = MahalanobisDetector(np.zeros(1), np.eye(1), threshold=1)
    features = OodFeatures(np.exp([[0], [3], [0], [3.0]]), np.exp([[0], [0], [3], [3.0]]))

    def inside(**detectors: MahalanobisDetector) -> list[bool] | None:
        found = CheckpointMetadata(Architecture(), Preprocess(), **detectors).contains(features)  # type: ignore[arg-type]
        return None if found is None else found.tolist()

    assert inside() is None
    assert inside(ood_detector=one) == [True, False, True, False]
    assert inside(ood_detector=one, image_detector=one) == [True, False, False, False]
