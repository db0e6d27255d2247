import numpy as np
import pytest

from model.calibration import Calibration
from training.fitting.calibration import fit_calibration


@pytest.mark.parametrize("made", [Calibration(0.5), Calibration(3.0), Calibration(1.5, 1.3, 0.4)])
def test_finds_the_calibration_that_made_the_labels(made: Calibration) -> None:
    random = np.random.default_rng(0)
    logits = random.normal(0, 3, 100_000)
    labels = random.random(len(logits)) < 1 / (1 + np.exp(-made(logits)))
    found = fit_calibration(logits, labels)
    assert found.temperature == pytest.approx(made.temperature, rel=0.05)
    assert found.power == pytest.approx(made.power, rel=0.05)
    assert found.shift == pytest.approx(made.shift, abs=0.03)


def test_two_pictures_answered_right_tell_nothing_but_the_temperature() -> None:
    found = fit_calibration(np.array([-1.0, 1.0]), np.array([0, 1]))
    assert found.temperature == pytest.approx(1 / 20, rel=0.01)
    assert found.power == pytest.approx(1, abs=0.01)
    assert found.shift == pytest.approx(0, abs=0.01)
