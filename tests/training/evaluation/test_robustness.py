import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.checkpoint import Checkpoint
from model.predictor import Prediction, Predictor
from tests.pictures import encode, noise
from training.evaluation.robustness import CORRUPTIONS, describe, libjpeg9_decoder, robustness


class Brightness:
    """P(REAL) is the mean brightness; pictures of another size than 32x32 are out of its domain."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.metadata = checkpoint.metadata

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        sides = np.array([picture.shape[0] for picture in pictures])
        return Prediction(np.array([picture.mean() / 255 for picture in pictures]), sides == 32)


def test_the_table_by_hand(random_checkpoint: Checkpoint) -> None:
    images = np.stack([np.full((32, 32, 3), value, np.uint8) for value in (110, 120, 140, 150)])
    labels = np.array([0, 0, 1, 1])
    predictor: Any = Brightness(random_checkpoint)
    table = robustness(predictor, images, labels)
    assert list(table) == list(CORRUPTIONS)
    assert next(iter(table.values())) == {
        "accuracy": 1.0,
        "accuracy_interval": pytest.approx([0.5101, 1], abs=1e-4),
        "drop": 0.0,
        "drop_interval": [0.0, 0.0],
        "ece": pytest.approx(np.mean([110, 120, 105, 115]) / 255),
        "in_domain": 1.0,
    }
    brighter = table["brightness +20 %"]  # 132, 144, 168, 180
    assert (brighter["accuracy"], brighter["drop"]) == (0.5, 0.5)
    assert brighter["drop_interval"] == pytest.approx([0.5 - 0.49, 0.5 + 0.49])
    assert table["enlarged x4, bicubic"]["in_domain"] == 0.0
    assert "brightness +20 %" in describe(table)
    [line] = [line for line in describe(table).splitlines() if line.startswith("brightness +20 %")]
    assert line.split()[3:8] == ["50%", "50", "1", "to", "99"]
    del table["grey"]["in_domain"]
    assert describe(table).endswith("unknown")


def test_corruptions_match_their_names() -> None:
    picture = Image.fromarray(noise(1))
    corrupted = {name: corrupt(picture, np.random.default_rng(0)) for name, corrupt in CORRUPTIONS.items()}
    pixels = {name: np.asarray(image).astype(float) for name, image in corrupted.items()}
    before = pixels["as they are"]
    np.testing.assert_array_equal(before, np.asarray(picture))
    distance = {name: np.abs(p - before).mean() for name, p in pixels.items() if p.shape == before.shape}
    assert distance["JPEG, quality 90"] < distance["JPEG, quality 50"] < distance["JPEG, quality 30"]
    assert 0 < distance["Gaussian blur, 0.5 px"] < distance["Gaussian blur, 1 px"]
    assert (pixels["noise, 5 grey levels"] - before).std() == pytest.approx(5, abs=0.5)
    assert pixels["brightness -20 %"].mean() < before.mean() < pixels["brightness +20 %"].mean()
    assert pixels["contrast -20 %"].std() < before.std() < pixels["contrast +20 %"].std()
    assert np.ptp(pixels["grey"], axis=2).max() == 0
    sides = {name: image.size for name, image in corrupted.items() if image.size != (32, 32)}
    assert sides.pop("one pixel cut off each edge") == (30, 30)
    assert {name.split(",")[0]: size for name, size in sides.items()} == {
        "enlarged x2": (64, 64),
        "enlarged x4": (128, 128),
        "enlarged x7": (224, 224),
    }


def test_libjpeg9_changes_chroma_by_about_a_grey_level() -> None:
    decoded = np.asarray(
        Image.open(io.BytesIO(encode(noise(2) // 2 + 64, "JPEG", quality=75))).convert("RGB")
    )
    again = np.asarray(libjpeg9_decoder(Image.fromarray(decoded), np.random.default_rng(0)))
    difference = again.astype(float) - decoded
    assert 0.3 < np.sqrt((difference**2).mean()) < 4
    assert np.abs(difference @ [0.299, 0.587, 0.114]).max() < 1


def test_the_shipped_model_on_corrupted_pictures(shipped: Predictor) -> None:
    images = np.stack([noise(seed) for seed in range(4)])
    table = robustness(shipped, images, np.array([0, 1, 0, 1]))
    assert all(0 <= row["accuracy"] <= 1 for row in table.values())
