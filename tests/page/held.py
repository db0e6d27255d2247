"""The application with a stand-in for the network that waits in the middle of a job until it may go on."""

import os
import time
from pathlib import Path

import numpy as np
from flask import Flask

from model.predictor import Prediction
from tests.served import MeanPredictor
from tests.served import served as with_predictor

GATE = "gate"  # a file in the output folder: while there is none, pictures of HELD wait
HELD = 255  # the brightness
MAX_SECONDS = 60


class HeldPredictor(MeanPredictor):
    """gate: the file that it waits for."""

    def __init__(self, gate: Path) -> None:
        self._gate = gate

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        deadline = time.monotonic() + MAX_SECONDS
        if any(picture.min() == HELD for picture in pictures):
            while not self._gate.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        return super().predict(pictures, use_all_cores)


def served() -> Flask:
    return with_predictor(HeldPredictor(Path(os.environ["CIFAKE_OUTPUT_DIR"]) / GATE))
