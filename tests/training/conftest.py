import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from tests.training.runs import write_validation
from training.evaluation.metrics import classification_metrics
from training.fitting.history import Epoch, write_history


@pytest.fixture(scope="session", autouse=True)
def _f32() -> Iterator[None]:
    """Precision `auto` is f32 on every machine; tests that need bf16 ask for it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.fitting.precision.has_autocast", lambda device: False)
        yield


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A synthetic run folder: five epochs, 200 validation pictures, no plots."""
    folder = tmp_path / "run"
    folder.mkdir()
    history = [Epoch(i, 32, 0.6 / i, 0.6 + i / 20, 0.7 / i, 0.6 + i / 25, 1.0) for i in range(1, 6)]
    write_history(history, folder / "history.csv")
    labels = np.arange(200) % 2
    predictions = np.clip(labels * 0.6 + np.random.default_rng(0).uniform(0, 0.4, 200), 0, 1)
    names = [f"{i}.png" for i in range(200)]
    write_validation(folder, names, labels, predictions, predictions**0.5)
    report = {
        "recipe": {
            "name": "hackathon",
            "init": "shipped",
            "optimizer": "sgd",
            "learning_rate": 0.005,
            "batch_size": 64,
            "architecture": {"stem": "small-pool", "head": "linear"},
            "preprocess": {"size": 32},
        },
        "data": {
            "kind": "hackathon tree",
            "label_1": "FAKE",
            "training": {"pictures": 1800},
            "validation": {"pictures": 200},
        },
        "best_epoch": 4,
        "seconds": 600,
        "validation": classification_metrics(predictions, labels),
    }
    (folder / "metrics.json").write_text(json.dumps(report))
    return folder
