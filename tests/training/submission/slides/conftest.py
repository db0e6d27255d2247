import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from tests.networks import random_weights
from tests.training.runs import write_validation
from tests.trees import hackathon_tree
from training.data.datasets import load_train
from training.evaluation.metrics import classification_metrics
from training.fitting.history import Epoch, write_history
from training.submission.slides import results
from training.submission.slides.facts import Facts, collect


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set of forty pictures."""
    return hackathon_tree(tmp_path_factory.mktemp("slides") / "data")


@pytest.fixture(scope="session")
def tree_run(tree: Path) -> Path:
    """A run folder with a checkpoint: half of the tree's pictures are for validation, six answers are wrong.

    Label 1 is FAKE.
    """
    run = tree.parent / "run"
    pictures = load_train(tree, Preprocess()).pictures
    validation = pictures.select(np.arange(0, 40, 2))
    random = np.random.default_rng(0)
    predictions = np.where(validation.labels == 1, 0.7, 0.3) + random.uniform(-0.2, 0.2, 20).round(6)
    predictions[:6] = 1 - predictions[:6]
    metrics = classification_metrics(predictions, validation.labels)
    digest = {"pictures": 20, "sha256": validation.digest()}
    report = {
        "recipe": {
            "name": "hackathon",
            "init": "shipped",
            "optimizer": "sgd",
            "learning_rate": 0.005,
            "batch_size": 64,
            "seed": 2025,
            "architecture": {"stem": "small-pool", "head": "linear"},
            "preprocess": {"size": 32},
            "augmentation": {"flip": True, "shift": 2, "jpeg_reencode": 0.15, "blur": 0.15, "noise": 0.0},
        },
        "data": {
            "kind": "hackathon tree",
            "label_1": "FAKE",
            "training": {"pictures": 20},
            "validation": digest,
        },
        "best_epoch": 4,
        "seconds": 600,
        "validation": metrics,
    }
    architecture = Architecture("small-pool", "linear")
    metadata = CheckpointMetadata(
        architecture, Preprocess(), positive_class="FAKE", metrics={"validation": metrics}
    )
    Checkpoint(metadata, random_weights(architecture)).save(run / "cifake_model.pth")
    (run / "metrics.json").write_text(json.dumps(report))
    write_history(
        [Epoch(i, 32, 0.6 / i, 0.6, 0.7 / i, 0.6 + i / 25, 1.0) for i in range(1, 6)], run / "history.csv"
    )
    write_validation(run, validation.names, validation.labels, predictions, predictions)
    return run


@pytest.fixture(scope="session", autouse=True)
def _plots_are_rendered_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(results, "render", cache(results.render))
        yield


@pytest.fixture(scope="session")
def facts(tree_run: Path, tree: Path) -> Facts:
    return collect("Team 7", tree_run, tree, 500)
