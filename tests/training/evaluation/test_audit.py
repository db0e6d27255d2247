from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.predictor import Predictor
from training.data.labelled_images import LabelledImages, load_split
from training.evaluation import audit as audits
from training.evaluation.audit import audit, caption, validation_error, write_report

LABELS = np.repeat([1, 0], 1000)


def model_predictions(error: float, seed: int = 0) -> np.ndarray:
    """P(REAL) of a model that is confident if it is right and unsure if it is wrong."""
    random = np.random.default_rng(seed)
    right = np.where(LABELS == 1, random.uniform(0.9, 1, 2000), random.uniform(0, 0.1, 2000))
    wrong = random.permutation(2000)[: int(error * 2000)]
    right[wrong] = random.uniform(0.3, 0.7, len(wrong))
    return right


def add_noise(labels: np.ndarray, share: float) -> tuple[np.ndarray, np.ndarray]:
    """(labels of which a share is wrong, index of those)."""
    index = np.random.default_rng(1).permutation(len(labels))[: int(share * len(labels))]
    changed = labels.copy()
    changed[index] = 1 - changed[index]
    return changed, index


def test_sound_labels() -> None:
    result = audit(model_predictions(0.03), LABELS, model_error=0.03)
    assert result.verdict == "sound"
    assert result.agreement > 0.97
    assert "look sound" in result.describe()


def test_inverted_labels() -> None:
    result = audit(model_predictions(0.03), 1 - LABELS, model_error=0.03)
    assert result.verdict == "inverted"
    assert result.agreement < 0.03
    assert result.agreement_interval[0] < result.agreement < result.agreement_interval[1]
    assert "labelled REAL look generated" in result.describe()
    # The probabilities are corrected for the inversion.
    not_inverted = audit(model_predictions(0.03), LABELS, model_error=0.03)
    assert np.allclose(result.label_error_probability, not_inverted.label_error_probability)


@pytest.mark.parametrize("inverted", [False, True])
def test_wrong_labels_are_counted_and_ranked_first(inverted: bool) -> None:
    labels, wrong = add_noise(LABELS, 0.05)
    result = audit(model_predictions(0.03), 1 - labels if inverted else labels, model_error=0.03)
    assert result.verdict == ("inverted and noisy" if inverted else "noisy")
    assert result.noise_rate is not None
    assert result.noise_rate == pytest.approx(0.05, abs=0.01)
    first = set(np.argsort(-result.label_error_probability)[:120].tolist())
    assert len(first & set(wrong.tolist())) >= 90


def test_the_models_error_does_not_count_as_noise() -> None:
    assert audit(model_predictions(0.06), LABELS, model_error=0.0).verdict == "noisy"
    assert audit(model_predictions(0.06), LABELS, model_error=0.06).verdict == "sound"


def test_random_labels_are_unclear() -> None:
    result = audit(model_predictions(0.03), np.arange(2000) % 2, model_error=0.03)
    assert result.verdict == "unclear"
    assert result.noise_rate is None
    assert not result.inverted
    assert "cannot check their labels" in result.describe()


@given(st.floats(0, 1), st.integers(0, 2000))
@settings(deadline=None, derandomize=True)
def test_any_model_and_any_labels_have_a_description(error: float, agreeing: int) -> None:
    labels = np.where(np.arange(2000) < agreeing, LABELS, 1 - LABELS)
    result = audit(np.where(LABELS == 1, 0.5, 0.499), labels, error)
    assert result.agreement == agreeing / 2000
    assert result.verdict in result.describe()
    if error >= 0.5:
        assert result.verdict == "unclear"
        assert not result.inverted
    if result.noise_rate_interval is not None:
        low, high = result.noise_rate_interval
        assert 0 <= low <= high
        assert np.isfinite(high)


@pytest.mark.parametrize("error", [0.5, 0.7, 1.0])
def test_a_model_that_is_wrong_on_half_cannot_check_labels(error: float) -> None:
    for labels in (LABELS, 1 - LABELS):
        result = audit(model_predictions(0.03), labels, error)
        assert (result.verdict, result.noise_rate, result.inverted) == ("unclear", None, False)
        assert "wrong on half of its validation pictures" in result.describe()


def test_without_a_validation_error_the_noise_rate_is_unknown() -> None:
    assert audit(model_predictions(0.2), LABELS, None).verdict == "not inverted"
    result = audit(model_predictions(0.2), 1 - LABELS, None)
    assert (result.verdict, result.noise_rate, result.noisy) == ("inverted", None, False)
    assert "no record of its validation error" in result.describe()
    assert audit(model_predictions(0.03), np.arange(2000) % 2, None).verdict == "unclear"


def test_validation_error(random_checkpoint: Checkpoint, shipped: Predictor) -> None:
    assert validation_error(random_checkpoint.metadata) is None
    accuracy = shipped.metadata.metrics["validation"]["accuracy"]
    assert validation_error(shipped.metadata) == pytest.approx(1 - accuracy)


@pytest.mark.parametrize(
    ("label", "prediction", "inverted", "lines"),
    [
        (1, 0.02, False, ["folder: REAL", "model: FAKE, P(REAL) 0.0200"]),
        (0, 0.98, False, ["folder: FAKE", "model: REAL, P(REAL) 0.9800"]),
        (1, 0.9996, True, ["folder: REAL, means FAKE", "model: REAL, P(REAL) 0.9996"]),
        (0, 0.5, True, ["folder: FAKE, means REAL", "model: REAL, P(REAL) 0.5000"]),
    ],
)
def test_captions(label: int, prediction: float, inverted: bool, lines: list[str]) -> None:
    assert caption("folder/7.png", label, prediction, inverted) == ["folder/7.png", *lines]


@given(st.integers(0, 1), st.floats(0, 1), st.booleans())
@settings(deadline=None, derandomize=True)
def test_captions_contradict_neither_the_label_nor_the_model(
    label: int, prediction: float, inverted: bool
) -> None:
    name, folder, model = caption("a/7.png", label, prediction, inverted)
    assert name == "a/7.png"
    assert folder.startswith(f"folder: {'REAL' if label else 'FAKE'}")
    assert model.startswith("model: REAL" if prediction >= 0.5 else "model: FAKE")
    assert float(model.rpartition(" ")[2]) == pytest.approx(prediction, abs=5e-5)


def test_the_report_names_folders_and_predictions(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files of one name, in data whose labels are inverted."""
    shown: list[list[str]] = []
    monkeypatch.setattr(audits, "contact_sheet", lambda path, images, captions: shown.extend(captions))
    names = [f"{folder}/{i}.png" for folder in ("real", "fake") for i in range(20)]
    labels = np.repeat([1, 0], 20).astype(np.uint8)
    predictions = np.where(labels == 1, 0.1, 0.9)
    predictions[[7, 27]] = 0.9996, 0.0004
    pictures = LabelledImages(np.zeros((40, 32, 32, 3), np.uint8), labels, names, [])
    first = write_report(tmp_path, pictures, audit(predictions, labels, 0.02), 2)
    assert first == [7, 27]
    assert shown == [
        ["real/7.png", "folder: REAL, means FAKE", "model: REAL, P(REAL) 0.9996"],
        ["fake/7.png", "folder: FAKE, means REAL", "model: FAKE, P(REAL) 0.0004"],
    ]


def test_label_noise_in_real_data(data: Path, shipped: Predictor) -> None:
    pictures = load_split(data / "cifake" / "test", Preprocess())
    part = pictures.subsample(2000)
    predictions = shipped.predict_proba(part.images)
    error = validation_error(shipped.metadata)
    assert audit(predictions, part.labels, error).verdict == "sound"
    labels, wrong = add_noise(part.labels, 0.05)
    result = audit(predictions, labels, error)
    assert result.verdict == "noisy"
    assert len(set(np.argsort(-result.label_error_probability)[:120].tolist()) & set(wrong.tolist())) >= 90
