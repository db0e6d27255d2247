"""Calibration of the network's logits."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """A monotonic map of logits: sign(z) * abs(z) ** power / temperature + shift.

    temperature alone is temperature scaling (Guo et al. 2017, arXiv 1706.04599); with a shift it is Platt
    scaling (Platt 1999, "Probabilistic Outputs for Support Vector Machines"). The power is an extension for
    networks trained with soft targets, which are calibrated near 0 but underconfident at large logits.
    """

    temperature: float = 1.0
    power: float = 1.0
    shift: float = 0.0

    def __post_init__(self) -> None:
        if not (self.temperature > 0 and self.power > 0):
            raise ValueError("temperature and power must be above 0")

    def __call__(self, logits: np.ndarray) -> np.ndarray:
        """Calibrated logits, float64 of the logits' shape."""
        z = np.asarray(logits, np.float64)
        return np.sign(z) * np.abs(z) ** self.power / self.temperature + self.shift
