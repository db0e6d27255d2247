"""Temperature scaling: one number that makes confidence mean what it says."""

import numpy as np
from scipy.optimize import minimize_scalar


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 with the lowest mean binary cross-entropy of sigmoid(logit / T).

    logits: float of shape (N,), of label 1; labels: 0 or 1, of shape (N,), not trained on.
    T is looked for from 1/20 to 20. Guo et al. 2017, arXiv 1706.04599, section 4.2.
    """
    signs = np.where(labels == 1, 1.0, -1.0)

    def loss(log_temperature: float) -> float:
        return float(np.logaddexp(0, -signs * logits / np.exp(log_temperature)).mean())

    found = minimize_scalar(loss, bounds=(-np.log(20), np.log(20)), method="bounded")
    return float(np.exp(found.x))
