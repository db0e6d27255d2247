import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from model.engines.engine import open_engine
from model.ood import OodFeatures
from tests.pictures import noise
from training.data.datasets import Dataset
from training.data.labelled_images import DataError, LabelledImages, deduplicate, train_val_split
from training.fitting import quantization as quantising
from training.fitting.quantization import (
    describe,
    int8_ranges,
    is_rounded,
    original_split,
    precision_loss,
    quantise,
)

IMAGES = np.stack([noise(seed) for seed in range(30)])
LABELS = (np.arange(30) % 2).astype(np.uint8)
RECIPE = {"validation_fraction": 0.2, "seed": 7}


@pytest.fixture
def dataset() -> Dataset:
    """30 pictures, and one of them again in the test split."""
    pictures = LabelledImages(IMAGES, LABELS, [str(i) for i in range(30)], [])
    return Dataset("pictures", pictures, [pictures.select(np.array([4]))])


@pytest.fixture
def held(dataset: Dataset) -> LabelledImages:
    sound = deduplicate(dataset.pictures, dataset.excluded).pictures
    return train_val_split(sound, RECIPE["validation_fraction"], int(RECIPE["seed"]))[1]


@pytest.fixture
def trained(random_checkpoint: Checkpoint, held: LabelledImages) -> Checkpoint:
    data = {"validation": {"pictures": len(held), "sha256": held.digest()}}
    return random_checkpoint.with_metadata(recipe=dict(RECIPE), data=data)


def test_a_checkpoint_that_knows_int8(trained: Checkpoint, dataset: Dataset, tmp_path: Path) -> None:
    path = tmp_path / "model.pth"
    trained.save(path)
    plain = Checkpoint.load(path)
    found = quantise(plain, dataset)
    convolutions = [one for one in found.metadata.int8 if re.search("conv|downsample", one.operation)]
    assert len(convolutions) == 19  # of 20: the first of layer1 reads what was rounded before the max-pool
    assert all(one.low < one.high for one in found.metadata.int8)
    assert all(is_rounded(one) for one in found.metadata.int8)
    shortcuts = [one for one in found.metadata.int8 if one.operation.endswith(".add")]
    assert {one.port for one in shortcuts} == {1}
    assert set(found.metadata.metrics["precisions"]) == {"bf16", "int8"}
    assert found.metadata.metrics["precisions"]["int8"]["pictures"] == 6
    assert not found.metadata.allows_precision("int8")  # six pictures are too few to know

    found.save(tmp_path / "new.pth")
    again = Checkpoint.load(tmp_path / "new.pth")
    assert again.metadata.int8 == found.metadata.int8
    assert all(np.array_equal(again.weights[name], array) for name, array in plain.weights.items())
    _, engine = open_engine(tmp_path / "new.pth", "cpu", "openvino", "int8")
    _, reference = open_engine(path, "cpu", "openvino", "f32")
    z, expected = engine.forward(IMAGES)[0], reference.forward(IMAGES)[0]
    assert np.corrcoef(z, expected)[0, 1] > 0.95


def test_ranges_reach_from_the_smallest_to_the_largest_value_of_any_picture(
    random_checkpoint: Checkpoint,
) -> None:
    pictures = np.full((9, 32, 32, 3), 128, np.uint8)
    pictures[5, 0, 0], pictures[6, 0, 0] = 0, 255
    [of_input] = [one for one in int8_ranges(random_checkpoint, pictures) if one.operation == "conv1"]
    assert (of_input.low, of_input.high) == pytest.approx((-1, 1), abs=0.01)


def test_ranges_are_of_one_share_and_the_record_of_the_other(
    trained: Checkpoint, dataset: Dataset, held: LabelledImages, monkeypatch: pytest.MonkeyPatch
) -> None:
    ranged: list[np.ndarray] = []
    judged: list[np.ndarray] = []

    def remember_images(checkpoint: Checkpoint, images: np.ndarray) -> tuple:
        ranged.append(images)
        return ()

    def remember_labels(metadata: object, z: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> dict:
        judged.append(labels)
        return {}

    class Judge(quantising.Predictor):
        def forward(self, pictures: np.ndarray, use_all_cores: bool = True) -> tuple:  # type: ignore[override]
            judged.append(pictures)
            nothing = np.zeros((len(pictures), 1))
            return np.zeros(len(pictures)), OodFeatures(nothing, nothing)

    monkeypatch.setattr(quantising, "int8_ranges", remember_images)
    monkeypatch.setattr(quantising, "OpenVinoEngine", lambda *arguments: None)
    monkeypatch.setattr(quantising, "Predictor", Judge)
    monkeypatch.setattr(quantising, "precision_loss", remember_labels)
    quantise(trained, dataset)
    validated = {image.tobytes() for image in held.images}
    assert len(ranged[0]) == 23
    assert not {image.tobytes() for image in ranged[0]} & validated
    for part in judged:
        np.testing.assert_array_equal(part, held.labels if part.ndim == 1 else held.images)


@pytest.mark.parametrize("change", ["seed", "pictures", "labels", "excluded", "bare"])
def test_other_pictures_are_refused(change: str, trained: Checkpoint, dataset: Dataset) -> None:
    pictures = dataset.pictures
    if change == "seed":
        trained = trained.with_metadata(recipe=RECIPE | {"seed": 8})
    elif change == "pictures":
        dataset = replace(dataset, pictures=pictures.select(np.arange(29)))
    elif change == "labels":
        dataset = replace(dataset, pictures=replace(pictures, labels=1 - pictures.labels))
    elif change == "excluded":
        dataset = replace(dataset, excluded=[])
    else:
        trained = trained.with_metadata(data={})
    with pytest.raises(DataError, match="validated with"):
        original_split(trained.metadata, dataset)


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
def test_cost_by_hand(positive_class: str, random_checkpoint: Checkpoint) -> None:
    """Of label 1, whatever it is in truth."""
    labels = np.array([1, 1, 0, 0])
    metadata = random_checkpoint.with_metadata(positive_class=positive_class).metadata
    found = precision_loss(metadata, np.array([1.0, -1, 1, -1]), np.array([1.0, 1, -1, -1]), labels)
    margin = 100 * 1.96 * 0.5 / 2  # two of four are lost
    assert found == {
        "pictures": 4,
        "accuracy": 0.5,
        "points_lost": pytest.approx(50),
        "points_lost_interval": pytest.approx([50 - margin, 50 + margin]),
        "answered_otherwise": pytest.approx(0.5),
    }
    record = {"int8": found | {"split": "validation"}}
    said = describe(random_checkpoint.with_metadata(metrics={"precisions": record}).metadata)
    assert said.splitlines()[1].split() == ["int8", "4", "50%", "50", "1", "to", "99", "50%", "no"]
