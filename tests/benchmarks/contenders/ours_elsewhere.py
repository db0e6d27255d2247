"""Our checkpoint, engine and preprocessing, for other frameworks to serve.

Each of their processes computes with its share of the cores, which is all where `OMP_NUM_THREADS` is not set.
"""

from typing import Any

import numpy as np

from model.images.decode import decode
from model.predictor import Predictor


def predictor() -> Predictor:
    """As the service opens it."""
    opened = Predictor.load(engine="auto", precision="auto")
    opened.read([np.zeros((32, 32, 3), np.uint8)] * 32, alone=False)
    return opened


def answers(opened: Predictor, files: list[bytes]) -> list[dict[str, Any]]:
    """The core of the service's own answers, for one batch."""
    pictures = [decode(file, shrink=opened.preprocess.resize).pixels for file in files]
    reading = opened.read(pictures, alone=False)
    found = []
    for prediction in reading.predictions.round(6).tolist():
        verdict = opened.verdict(prediction)
        found.append({"label": verdict.label, "confidence": verdict.confidence, "prediction": prediction})
    return found
