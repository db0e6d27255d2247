import numpy as np
import pytest

from model.calibration import Calibration

LOGITS = np.array([-50.0, -4.0, -1.0, 0.0, 1.0, 4.0, 50.0])


def test_by_default_nothing_changes() -> None:
    np.testing.assert_array_equal(Calibration()(LOGITS), LOGITS)


def test_temperature_power_and_shift() -> None:
    found = Calibration(2.0, 1.5, 0.25)(np.array([-4.0, -1.0, 0.0, 1.0, 4.0]))
    np.testing.assert_allclose(found, [0.25 - 4, 0.25 - 0.5, 0.25, 0.25 + 0.5, 0.25 + 4])


@pytest.mark.parametrize(
    "calibration", [Calibration(0.1), Calibration(2.0, 0.5, -1), Calibration(1.0, 3.0, 2)]
)
def test_the_order_of_pictures_stays(calibration: Calibration) -> None:
    assert (np.diff(calibration(LOGITS)) > 0).all()


@pytest.mark.parametrize("values", [(0.0,), (-1.0,), (1.0, 0.0)])
def test_senseless_values_are_refused(values: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="above 0"):
        Calibration(*values)
