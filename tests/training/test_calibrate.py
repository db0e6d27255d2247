import numpy as np
import pytest

from training.calibrate import fit_temperature


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_finds_the_temperature_that_made_the_labels(temperature: float) -> None:
    random = np.random.default_rng(0)
    true_logits = random.normal(0, 2, 50_000)
    labels = random.random(50_000) < 1 / (1 + np.exp(-true_logits))
    assert fit_temperature(true_logits * temperature, labels) == pytest.approx(temperature, rel=0.03)


def test_separable_logits_end_at_the_bound() -> None:
    assert fit_temperature(np.array([-1.0, 1.0]), np.array([0, 1])) == pytest.approx(1 / 20, rel=0.01)
