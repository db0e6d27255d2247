"""Our checkpoint, engine and preprocessing, for other frameworks to serve.

Each of their processes computes with its share of the cores, which is all where `OMP_NUM_THREADS` is not set.
"""

from threading import Lock
from typing import Any

import numpy as np

from model.images.decode import decode
from model.predictor import Predictor

_one_at_a_time = Lock()


def predictor() -> Predictor:
    """As the service opens it."""
    opened = Predictor.load(engine="auto", precision="auto")
    opened.predict([np.zeros((32, 32, 3), np.uint8)] * 32, use_all_cores=False)
    return opened


def answers(opened: Predictor, files: list[bytes]) -> list[dict[str, Any]]:
    """The core of the service's own answers, for one batch."""
    pictures = [decode(file, shrink=opened.preprocess.resize).pixels for file in files]
    with _one_at_a_time:
        predicted = opened.predict(pictures, use_all_cores=False)
    found = []
    for prediction in predicted.predictions.round(6).tolist():
        decision = opened.decide(prediction)
        found.append({"label": decision.label, "confidence": decision.confidence, "prediction": prediction})
    return found
