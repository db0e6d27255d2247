"""This project's checkpoint and engine, served by other frameworks, which decode with Pillow.

Each of their processes uses `OMP_NUM_THREADS` threads, or one per core if it is not set.
"""

import io
from threading import Lock
from typing import Any

import numpy as np
from PIL import Image

from model.predictor import Predictor

_lock = Lock()


def predictor() -> Predictor:
    """A warmed-up predictor, as the service loads it."""
    opened = Predictor.load(engine="auto", precision="auto")
    opened.predict([np.zeros((32, 32, 3), np.uint8)] * 32, use_all_cores=False)
    return opened


def pixels(file: bytes, size: int = 32) -> np.ndarray:
    """A picture at the network's size, uint8 of shape (size, size, 3), as Pillow's documentation decodes.

    For the benchmarks' pictures that is what the service makes of them, but for its reduced decoding of JPEG.
    It has none of its limits, and applies no Exif orientation.
    """
    picture = Image.open(io.BytesIO(file)).convert("RGB")
    return np.asarray(picture.resize((size, size), Image.Resampling.BILINEAR))


def answers(opened: Predictor, files: list[bytes]) -> list[dict[str, Any]]:
    """The service's answers for one batch."""
    pictures = [pixels(file, opened.preprocess.size) for file in files]
    with _lock:
        predicted = opened.predict(pictures, use_all_cores=False)
    found = []
    for prediction in predicted.predictions.round(6).tolist():
        decision = opened.decide(prediction)
        found.append({"label": decision.label, "confidence": decision.confidence, "prediction": prediction})
    return found
