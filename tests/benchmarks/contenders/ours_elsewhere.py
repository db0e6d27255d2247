"""Our checkpoint, engine and preprocessing, for other frameworks to serve."""

from typing import Any

import numpy as np

from model.images import decode
from model.predictor import Predictor


def predictor() -> Predictor:
    """As the service opens it."""
    opened = Predictor.load(engine="auto", precision="auto")
    opened.read([np.zeros((32, 32, 3), np.uint8)] * 32)
    return opened


def answers(opened: Predictor, files: list[bytes]) -> list[dict[str, Any]]:
    """The core of the service's own answers, for one batch."""
    pictures = [decode(file, shrink=opened.preprocess.resize).pixels for file in files]
    reading = opened.read(pictures)
    found = []
    for prediction in reading.predictions.round(6).tolist():
        verdict = opened.verdict(prediction)
        found.append({"label": verdict.label, "confidence": verdict.confidence, "prediction": prediction})
    return found
