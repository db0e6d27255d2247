from dataclasses import replace

import numpy as np
import pytest

from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.predictor import Predictor
from tests.pictures import noise
from training.data.labelled_images import LabelledImages
from training.evaluation.evaluate import describe_more, evaluate
from training.evaluation.metrics import expected_calibration_error
from training.evaluation.ood import fit_detector


def test_before_and_after_calibration_and_in_domain(random_checkpoint: Checkpoint) -> None:
    images = np.stack([noise(seed) for seed in range(20)])
    plain = Predictor.from_checkpoint(random_checkpoint, "cpu")
    z, means = plain.forward(images)
    labels = (z > np.median(z)).astype(np.uint8)
    pictures = LabelledImages(images, labels, [str(i) for i in range(20)], [])
    found = evaluate(plain, pictures)
    assert "in_domain" not in found.figures
    assert "unknown" in describe_more(found.figures)
    assert found.figures["ece_uncalibrated"] == found.figures["ece"]

    knowing = replace(
        random_checkpoint, calibration=Calibration(0.1), ood_detector=fit_detector(means[:10], means[:10])
    )
    found = evaluate(Predictor.from_checkpoint(knowing, "cpu"), pictures)
    np.testing.assert_allclose(found.uncalibrated, 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(found.predictions, 1 / (1 + np.exp(-z / 0.1)))
    assert found.figures["ece_uncalibrated"] == pytest.approx(
        expected_calibration_error(found.uncalibrated, labels)
    )
    assert found.figures["ece_uncalibrated"] != found.figures["ece"]
    assert 0.5 <= found.figures["in_domain"] <= 1
    assert f"{found.figures['in_domain']:.2%}" in describe_more(found.figures)

    turned = evaluate(Predictor.from_checkpoint(knowing, "cpu"), pictures, "FAKE")
    assert turned.figures["accuracy"] == pytest.approx(1 - found.figures["accuracy"])


def test_both_classes_are_of_the_answers_that_are_given(random_checkpoint: Checkpoint) -> None:
    """At the threshold itself too, where P(REAL) is 1/2."""
    z = [0.0, -1, 1, 0]

    class Fixed:
        name = "fixed"

        def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
            return np.array(z), np.zeros((len(batch), 1), np.float32)

    predictor = Predictor(random_checkpoint, Fixed())  # type: ignore[arg-type]
    images = np.stack([noise(seed) for seed in range(4)])
    pictures = LabelledImages(images, np.array([1, 0, 1, 0], np.uint8), [""] * 4, [])
    answers = [predictor.decide(p).label for p in predictor.predict_proba(images)]
    for positive_class in ("REAL", "FAKE"):
        found = evaluate(predictor, pictures, positive_class)  # type: ignore[arg-type]
        right = [
            (answer == positive_class) == label for answer, label in zip(answers, [1, 0, 1, 0], strict=True)
        ]
        assert found.figures["accuracy"] == np.mean(right)
