from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.predictor import Predictor
from tests.pictures import noise
from training.data.labelled_images import read_split
from training.evaluation.audit import audit, contact_sheet, own_error

LABELS = np.repeat([1, 0], 1000)


def answers(error: float, seed: int = 0) -> np.ndarray:
    """P(REAL) by a model that is sure where it is right and unsure where it is not."""
    random = np.random.default_rng(seed)
    right = np.where(LABELS == 1, random.uniform(0.9, 1, 2000), random.uniform(0, 0.1, 2000))
    wrong = random.permutation(2000)[: int(error * 2000)]
    right[wrong] = random.uniform(0.3, 0.7, len(wrong))
    return right


def flip(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(labels with some of them wrong, index of those)."""
    index = np.random.default_rng(1).permutation(len(labels))[: int(share * len(labels))]
    changed = labels.copy()
    changed[index] = 1 - changed[index]
    return changed, index


def test_sound_labels() -> None:
    found = audit(answers(0.03), LABELS, error=0.03)
    assert found.verdict == "sound"
    assert found.agreement > 0.97
    assert "look sound" in found.sentence()


def test_inverted_labels() -> None:
    found = audit(answers(0.03), 1 - LABELS, error=0.03)
    assert found.verdict == "inverted"
    assert found.agreement < 0.03
    assert found.agreement_interval[0] < found.agreement < found.agreement_interval[1]
    assert "What they call REAL looks generated" in found.sentence()
    # The inversion aside, suspicion is that of the labels the right way round.
    assert np.allclose(found.suspicion, audit(answers(0.03), LABELS, error=0.03).suspicion)


@pytest.mark.parametrize("inverted", [False, True])
def test_flipped_labels_are_counted_and_stand_first(inverted: bool) -> None:
    labels, flipped = flip(LABELS, 0.05)
    found = audit(answers(0.03), 1 - labels if inverted else labels, error=0.03)
    assert found.verdict == ("inverted and noisy" if inverted else "noisy")
    assert found.flipped is not None
    assert found.flipped == pytest.approx(0.05, abs=0.01)
    first = set(np.argsort(-found.suspicion)[:120].tolist())
    assert len(first & set(flipped.tolist())) >= 90


def test_a_models_own_errors_are_not_the_labels_noise() -> None:
    assert audit(answers(0.06), LABELS, error=0.0).verdict == "noisy"
    assert audit(answers(0.06), LABELS, error=0.06).verdict == "sound"


def test_random_labels_are_unclear() -> None:
    found = audit(answers(0.03), np.arange(2000) % 2, error=0.03)
    assert found.verdict == "unclear"
    assert found.flipped is None
    assert not found.inverted
    assert "says nothing about them" in found.sentence()


@given(st.floats(0, 1), st.integers(0, 2000))
@settings(deadline=None, derandomize=True)
def test_any_model_and_any_labels_get_a_sentence(error: float, agreeing: int) -> None:
    labels = np.where(np.arange(2000) < agreeing, LABELS, 1 - LABELS)
    found = audit(np.where(LABELS == 1, 0.5, 0.499), labels, error)
    assert found.agreement == agreeing / 2000
    assert found.verdict in found.sentence()
    if error >= 0.5:
        assert found.verdict == "unclear"
        assert not found.inverted
    if found.flipped_interval is not None:
        low, high = found.flipped_interval
        assert 0 <= low <= high
        assert np.isfinite(high)


@pytest.mark.parametrize("error", [0.5, 0.7, 1.0])
def test_a_model_that_is_right_on_half_says_nothing(error: float) -> None:
    for labels in (LABELS, 1 - LABELS):
        found = audit(answers(0.03), labels, error)
        assert (found.verdict, found.flipped, found.inverted) == ("unclear", None, False)
        assert "By its own record it is wrong on half" in found.sentence()


def test_a_model_without_a_record_does_not_count_its_errors_as_the_labels() -> None:
    assert audit(answers(0.2), LABELS, None).verdict == "not inverted"
    found = audit(answers(0.2), 1 - LABELS, None)
    assert (found.verdict, found.flipped, found.noisy) == ("inverted", None, False)
    assert "no record of its own errors" in found.sentence()
    assert audit(answers(0.03), np.arange(2000) % 2, None).verdict == "unclear"


def test_own_error(random_checkpoint: Checkpoint, shipped: Predictor) -> None:
    assert own_error(random_checkpoint) is None
    accuracy = shipped.metadata.metrics["validation"]["accuracy"]
    assert own_error(shipped.metadata) == pytest.approx(1 - accuracy)


def test_contact_sheet(tmp_path: Path) -> None:
    images = [noise(i) for i in range(12)]
    contact_sheet(tmp_path / "sheet.png", images, [(f"{i}.png", "99%") for i in range(12)])
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    assert (pixels[8 : 8 + 96 : 3, 8 : 8 + 96 : 3] == images[0]).all()
    second_row, second_column = 8 + 96 + 28 + 8, 8 + 96 + 8
    assert (
        pixels[second_row : second_row + 96 : 3, second_column : second_column + 96 : 3] == images[11]
    ).all()
    assert (pixels[-96:, -90:] == 255).all()  # of the second row, eight places are empty


def test_flips_in_real_data(data: Path, shipped: Predictor) -> None:
    pictures = read_split(data / "cifake" / "test", Preprocess())
    part = pictures.subsample(2000)
    predictions = shipped.predict_proba(part.images)
    error = own_error(shipped.metadata)
    assert audit(predictions, part.labels, error).verdict == "sound"
    labels, flipped = flip(part.labels, 0.05)
    found = audit(predictions, labels, error)
    assert found.verdict == "noisy"
    assert len(set(np.argsort(-found.suspicion)[:120].tolist()) & set(flipped.tolist())) >= 90
