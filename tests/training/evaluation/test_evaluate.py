from dataclasses import replace

import numpy as np
import pytest

from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.predictor import Predictor
from tests.pictures import noise
from training.data.labelled_images import Pictures
from training.evaluation.evaluate import describe_more, evaluate
from training.evaluation.metrics import expected_calibration_error
from training.evaluation.ood import fit_domain


def test_before_and_after_calibration_and_in_domain(random_checkpoint: Checkpoint) -> None:
    images = np.stack([noise(seed) for seed in range(20)])
    plain = Predictor.of(random_checkpoint, "cpu")
    z, means = plain.look(images)
    labels = (z > np.median(z)).astype(np.uint8)
    pictures = Pictures(images, labels, [str(i) for i in range(20)], [])
    found = evaluate(plain, pictures)
    assert "in_domain" not in found.figures
    assert "unknown" in describe_more(found.figures)
    assert found.figures["ece_uncalibrated"] == found.figures["ece"]

    knowing = replace(
        random_checkpoint, calibration=Calibration(0.1), domain=fit_domain(means[:10], means[:10])
    )
    found = evaluate(Predictor.of(knowing, "cpu"), pictures)
    np.testing.assert_allclose(found.uncalibrated, 1 / (1 + np.exp(-z)))
    np.testing.assert_allclose(found.predictions, 1 / (1 + np.exp(-z / 0.1)))
    assert found.figures["ece_uncalibrated"] == pytest.approx(
        expected_calibration_error(found.uncalibrated, labels)
    )
    assert found.figures["ece_uncalibrated"] != found.figures["ece"]
    assert 0.5 <= found.figures["in_domain"] <= 1
    assert f"{found.figures['in_domain']:.2%}" in describe_more(found.figures)

    turned = evaluate(Predictor.of(knowing, "cpu"), pictures, "FAKE")
    assert turned.figures["accuracy"] == pytest.approx(1 - found.figures["accuracy"])


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_both_readings_are_of_the_answers_that_are_given(
    threshold: float, random_checkpoint: Checkpoint
) -> None:
    """At the threshold itself too, which pictures without a logit stand at."""
    z = {0.0: [-800.0, -1, 1, -800], 0.5: [0.0, -1, 1, 0], 1.0: [800.0, -1, 1, 800]}[threshold]

    class Fixed:
        name = "fixed"

        def look(self, batch: np.ndarray, alone: bool = True) -> tuple[np.ndarray, np.ndarray]:
            return np.array(z), np.zeros((len(batch), 1), np.float32)

    predictor = Predictor(replace(random_checkpoint, threshold=threshold), Fixed())  # type: ignore[arg-type]
    images = np.stack([noise(seed) for seed in range(4)])
    pictures = Pictures(images, np.array([1, 0, 1, 0], np.uint8), [""] * 4, [])
    answers = [predictor.verdict(p).label for p in predictor.predict(images)]
    for positive in ("REAL", "FAKE"):
        found = evaluate(predictor, pictures, positive)  # type: ignore[arg-type]
        right = [(answer == positive) == label for answer, label in zip(answers, [1, 0, 1, 0], strict=True)]
        assert found.figures["accuracy"] == np.mean(right)
