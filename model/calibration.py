"""Calibration: from what a network says to a probability that means what it says."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Calibration:
    """A rising map of logits: (sign of z) * abs(z) ** power / temperature + shift.

    temperature alone is Guo et al. 2017, arXiv 1706.04599, and with a shift Platt 1999, "Probabilistic
    Outputs for Support Vector Machines". The power is ours: a network trained towards softened targets is
    right about what it doubts and too modest about what it is sure of, which no factor can mend.
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
