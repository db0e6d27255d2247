"""Fitting a calibration to pictures that were not trained on."""

import numpy as np
from scipy.optimize import minimize

from model.calibration import Calibration

# Temperature from 1/20 to 20, power from 1/4 to 4.
BOUNDS = ((-np.log(20), np.log(20)), (-np.log(4), np.log(4)), (-5.0, 5.0))


def fit_calibration(logits: np.ndarray, labels: np.ndarray) -> Calibration:
    """The calibration with the lowest binary cross-entropy.

    logits: float of shape (N,), of label 1; labels: 0 or 1, of shape (N,), not trained on.
    The logarithm of the power and the shift are held to 0 by a normal prior of unit variance, so that a
    few dozen pictures, or some that are all answered right, get little but a temperature.
    """
    signs = np.where(labels == 1, 1.0, -1.0)

    def cost(parameters: np.ndarray) -> float:
        calibrated = _calibration(parameters)(logits)
        return float(np.logaddexp(0, -signs * calibrated).sum() + (parameters[1:] ** 2).sum() / 2)

    return _calibration(minimize(cost, np.zeros(3), bounds=BOUNDS, method="Nelder-Mead").x)


def _calibration(parameters: np.ndarray) -> Calibration:
    log_temperature, log_power, shift = (float(value) for value in parameters)
    return Calibration(float(np.exp(log_temperature)), float(np.exp(log_power)), shift)
