import numpy as np
import pytest

from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.ood import OodFeatures
from model.predictor import Predictor
from tests.pictures import noise
from training.data.labelled_images import LabelledImages
from training.evaluation.evaluate import describe_calibration, describe_positive_class, evaluate
from training.evaluation.metrics import describe, expected_calibration_error
from training.evaluation.ood import fit_detectors


def test_before_and_after_calibration_and_in_domain(random_checkpoint: Checkpoint) -> None:
    images = np.stack([noise(seed) for seed in range(20)])
    plain = Predictor.from_checkpoint(random_checkpoint, "cpu")
    z, features = plain.forward(images)
    some = OodFeatures(*(values[:10] for values in features))
    ood_detector, image_detector = fit_detectors(some, some)
    labels = (z > np.median(z)).astype(np.uint8)
    pictures = LabelledImages(images, labels, [str(i) for i in range(20)], [])
    result = evaluate(plain, pictures)
    assert "in_domain" not in result.metrics
    assert "in domain" not in describe(result.metrics)
    assert result.metrics["ece_uncalibrated"] == result.metrics["ece"]

    calibrated = random_checkpoint.with_metadata(
        calibration=Calibration(0.1), ood_detector=ood_detector, image_detector=image_detector
    )
    result = evaluate(Predictor.from_checkpoint(calibrated, "cpu"), pictures)
    np.testing.assert_allclose(result.uncalibrated, 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(result.predictions, 1 / (1 + np.exp(-z / 0.1)))
    assert result.metrics["ece_uncalibrated"] == pytest.approx(
        expected_calibration_error(result.uncalibrated, labels)
    )
    assert result.metrics["ece_uncalibrated"] != result.metrics["ece"]
    assert 0.5 <= result.metrics["in_domain"] <= 1
    [line] = [line for line in describe(result.metrics).splitlines() if line.startswith("in domain ")]
    assert line.split()[2] == f"{result.metrics['in_domain']:.0%}"

    complement = evaluate(Predictor.from_checkpoint(calibrated, "cpu"), pictures, "FAKE")
    assert complement.metrics["accuracy"] == pytest.approx(1 - result.metrics["accuracy"])


def test_accuracy_of_both_classes_is_that_of_the_decisions(random_checkpoint: Checkpoint) -> None:
    """Also at the threshold, where P(REAL) is 1/2."""
    z = [0.0, -1, 1, 0]

    class Fixed:
        def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
            return np.array(z), np.zeros((len(batch), 1), np.float32)

    predictor = Predictor(random_checkpoint.metadata, Fixed())  # type: ignore[arg-type]
    images = np.stack([noise(seed) for seed in range(4)])
    labels = np.array([1, 0, 1, 0], np.uint8)
    pictures = LabelledImages(images, labels, [""] * 4, [])
    decisions = [predictor.decide(p).label for p in predictor.predict_proba(images)]
    for positive_class in ("REAL", "FAKE"):
        result = evaluate(predictor, pictures, positive_class)  # type: ignore[arg-type]
        predicted = np.array([decision == positive_class for decision in decisions])
        assert result.metrics["accuracy"] == np.mean(predicted == labels)


def test_description_of_the_positive_class(random_checkpoint: Checkpoint) -> None:
    assert "no record of what label 1 means" in describe_positive_class(random_checkpoint.metadata)
    inverted = random_checkpoint.with_metadata(data={"label_1": "FAKE"}, positive_class="FAKE")
    assert "Label 1 means FAKE" in describe_positive_class(inverted.metadata)


def test_description_of_the_calibration() -> None:
    assert describe_calibration(Calibration()) == "Confidences are not calibrated."
    told = describe_calibration(Calibration(0.123456789, 1.25, -0.0123456789))
    assert told == "Confidences are calibrated: temperature 0.123, power 1.25, shift -0.012."
