"""This project's checkpoint, engine and preprocessing, served by other frameworks.

Each of their processes uses `OMP_NUM_THREADS` threads, or one per core if it is not set.
"""

from threading import Lock
from typing import Any

import numpy as np

from model.images.decode import decode
from model.predictor import Predictor

_lock = Lock()


def predictor() -> Predictor:
    """A warmed-up predictor, as the service loads it."""
    opened = Predictor.load(engine="auto", precision="auto")
    opened.predict([np.zeros((32, 32, 3), np.uint8)] * 32, use_all_cores=False)
    return opened


def answers(opened: Predictor, files: list[bytes]) -> list[dict[str, Any]]:
    """The service's answers for one batch."""
    pictures = [decode(file, transform=opened.preprocess.resize).pixels for file in files]
    with _lock:
        predicted = opened.predict(pictures, use_all_cores=False)
    found = []
    for prediction in predicted.predictions.round(6).tolist():
        decision = opened.decide(prediction)
        found.append({"label": decision.label, "confidence": decision.confidence, "prediction": prediction})
    return found
