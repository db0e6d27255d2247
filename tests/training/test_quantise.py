from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.engines import open_engine
from tests.pictures import noise
from training.data import Pictures
from training.quantise import cost, describe, quantise

IMAGES = np.stack([noise(seed) for seed in range(30)])


def test_a_checkpoint_that_knows_int8(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    random_checkpoint.save(path)
    pictures = Pictures(IMAGES, (np.arange(30) % 2).astype(np.uint8), [str(i) for i in range(30)], [])
    found = quantise(Checkpoint.load(path), pictures)
    convolutions = [one for one in found.int8 if one.operation.endswith("Convolution")]
    assert len(convolutions) == 19  # of 20: the first of layer1 reads what was rounded before the max-pool
    assert all(one.low < one.high for one in found.int8)
    assert set(found.metrics["precisions"]) == {"bf16", "int8"}
    assert found.metrics["precisions"]["int8"]["pictures"] == 30
    assert not found.allows("int8")  # 30 pictures are too few to know

    found.save(path)
    assert Checkpoint.load(path).int8 == found.int8
    _, engine = open_engine(path, "cpu", "openvino", "int8", tmp_path)
    _, plain = open_engine(path, "cpu", "openvino", "f32", tmp_path)
    z, expected = engine.look(IMAGES)[0], plain.look(IMAGES)[0]
    assert np.corrcoef(z, expected)[0, 1] > 0.95


def test_cost_by_hand(random_checkpoint: Checkpoint) -> None:
    labels = np.array([1, 1, 0, 0])
    found = cost(random_checkpoint, np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, 1]), labels)
    assert found == {
        "pictures": 4,
        "accuracy": 0.5,
        "points_lost": pytest.approx(25),
        "answered_otherwise": pytest.approx(0.75),
    }
    assert "int8: 50.00% of 4 pictures, +25.00 points lost" in describe({"int8": found})
