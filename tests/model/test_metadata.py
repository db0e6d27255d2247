import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.architecture import Architecture
from model.calibration import Calibration
from model.images.preprocess import Preprocess
from model.metadata import Manifest

CALIBRATIONS = st.builds(
    Calibration, st.floats(0.05, 20), st.floats(0.25, 4), st.floats(-5, 5)
)  # what training.fitting.calibration may find


@given(st.floats(-4, 4), st.floats(0, 1), CALIBRATIONS, st.sampled_from(["REAL", "FAKE"]))
@settings(deadline=None, derandomize=True)
def test_towards_is_where_the_answer_becomes_surer(
    z: float, threshold: float, calibration: Calibration, positive: str
) -> None:
    manifest = Manifest(
        Architecture(), Preprocess(), positive=positive, calibration=calibration, threshold=threshold
    )
    [prediction] = before = manifest.probability(np.array([z]))
    [sign] = towards = manifest.towards(before)
    assert abs(sign) == 1
    [after] = manifest.probability(z + towards)
    assert after >= prediction if prediction >= threshold else after <= prediction


@pytest.mark.parametrize("positive", ["REAL", "FAKE"])
def test_towards_by_hand(positive: str) -> None:
    manifest = Manifest(Architecture(), Preprocess(), positive=positive, threshold=0.7)  # type: ignore[arg-type]
    towards = manifest.towards(np.array([0.0, 0.6, 0.7, 1.0]))
    assert towards.dtype == np.float32
    assert (towards * (1 if positive == "REAL" else -1)).tolist() == [-1, -1, 1, 1]
