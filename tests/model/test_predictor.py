from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model import SHIPPED
from model.architecture import CHANNEL_MEANS
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.ood import MahalanobisDetector, log_features
from model.predictor import Decision, Predictor
from tests.pictures import noise


def test_alone_or_in_a_batch(shipped: Predictor) -> None:
    pictures = [noise(seed) for seed in range(64)]
    together = shipped.predict_proba(pictures)
    alone = np.concatenate([shipped.predict_proba([picture]) for picture in pictures])
    np.testing.assert_allclose(alone, together, atol=1e-5)
    assert together.min() >= 0
    assert together.max() <= 1
    assert together.std() > 0


def test_more_pictures_than_a_batch_keep_their_order(random_checkpoint: Checkpoint) -> None:
    pictures = [noise(seed) for seed in range(11)]
    small, large = (
        Predictor.from_checkpoint(random_checkpoint, "cpu", batch_size=4),
        Predictor.from_checkpoint(random_checkpoint, "cpu"),
    )
    np.testing.assert_allclose(small.logits(pictures), large.logits(pictures), atol=1e-5)


def test_sizes_may_be_mixed(shipped: Predictor) -> None:
    mixed = shipped.predict_proba([noise(0), noise(1, 64, 48)])
    resized = shipped.preprocess.resize(noise(1, 64, 48))
    np.testing.assert_allclose(mixed, shipped.predict_proba([noise(0), resized]), atol=1e-6)


def test_nothing_gives_nothing(shipped: Predictor) -> None:
    assert shipped.predict_proba([]).shape == (0,)


def test_prediction_is_the_sigmoid_of_the_calibrated_logit(random_checkpoint: Checkpoint) -> None:
    predictor = Predictor.from_checkpoint(
        random_checkpoint.with_metadata(calibration=Calibration(2.0)), "cpu"
    )
    expected = torch.sigmoid(torch.tensor(predictor.logits([noise()])) / 2)
    np.testing.assert_allclose(predictor.predict_proba([noise()]), expected, atol=1e-9)


def test_extreme_logits_do_not_overflow(random_checkpoint: Checkpoint) -> None:
    weights = dict(random_checkpoint.weights)
    weights["fc.bias"] = np.array([-5000.0], np.float32)
    assert (
        Predictor.from_checkpoint(replace(random_checkpoint, weights=weights), "cpu").predict_proba(
            [noise()]
        )[0]
        < 1e-300
    )


def test_label_one_as_fake_is_turned_round(random_checkpoint: Checkpoint) -> None:
    real = Predictor.from_checkpoint(random_checkpoint, "cpu").predict_proba([noise()])
    fake = Predictor.from_checkpoint(
        random_checkpoint.with_metadata(positive_class="FAKE"), "cpu"
    ).predict_proba([noise()])
    np.testing.assert_allclose(real + fake, 1)


def test_decision_follows_the_threshold(random_checkpoint: Checkpoint) -> None:
    predictor = Predictor.from_checkpoint(random_checkpoint, "cpu")
    assert predictor.decide(0.5).label == "REAL"
    assert predictor.decide(0.499).label == "FAKE"
    assert predictor.decide(0.2).confidence == pytest.approx(0.8)


def test_decision_may_abstain(random_checkpoint: Checkpoint) -> None:
    predictor = Predictor.from_checkpoint(random_checkpoint, "cpu")
    assert predictor.decide(0.85, abstain=0.9) == Decision("UNCERTAIN", 0.85)
    assert predictor.decide(0.125, abstain=0.9) == Decision("UNCERTAIN", 0.875)
    assert predictor.decide(0.9, abstain=0.9).label == "REAL"
    assert predictor.decide(0.05, abstain=0.9).label == "FAKE"


def test_reading_tells_what_is_out_of_the_domain(random_checkpoint: Checkpoint) -> None:
    pictures = [noise(seed) for seed in range(4)]
    assert Predictor.from_checkpoint(random_checkpoint, "cpu").predict(pictures).in_domain is None
    _, (means, _) = Predictor.from_checkpoint(random_checkpoint, "cpu").forward(pictures)
    distances = MahalanobisDetector(log_features(means[0]), np.eye(CHANNEL_MEANS), 0.0).distance(means)
    domain = MahalanobisDetector(log_features(means[0]), np.eye(CHANNEL_MEANS), float(np.sort(distances)[1]))
    knowing = Predictor.from_checkpoint(random_checkpoint.with_metadata(ood_detector=domain), "cpu")
    in_domain = knowing.predict(pictures).in_domain
    assert in_domain is not None
    assert in_domain.tolist() == (distances <= domain.threshold).tolist()
    assert in_domain.sum() == 2
    assert knowing.predict([]).in_domain.shape == (0,)  # type: ignore[union-attr]


@pytest.mark.parametrize("linear", [True, False])
def test_hackathon_state_dict_answers(linear: bool, tmp_path: Path) -> None:
    from torchvision.models import resnet18

    network = resnet18(num_classes=1)
    if not linear:
        network.fc = nn.Sequential(
            nn.Linear(512, 128), nn.ReLU(), nn.Dropout(0.3), nn.Linear(128, 1), nn.Sigmoid()
        )
    torch.save(network.state_dict(), tmp_path / "x.pth")
    predictor = Predictor.load(tmp_path / "x.pth", "cpu")
    batch = torch.from_numpy(predictor.preprocess.to_batch([noise()])).permute(0, 3, 1, 2)
    output = network.eval()(predictor.preprocess.normalize(batch))
    expected = torch.sigmoid(output) if linear else output
    np.testing.assert_allclose(predictor.predict_proba([noise()]), expected.detach().numpy()[0], atol=1e-5)


def test_shipped_model_is_whole(shipped: Predictor) -> None:
    assert SHIPPED.stat().st_size < 25_000_000
    assert shipped.metadata.recipe["name"] == "cifake"
    assert shipped.metadata.metrics["validation"]["accuracy"] > 0.97
    assert shipped.metadata.data["training"]["pictures"] > 90_000
    weights = Checkpoint.load(SHIPPED).weights
    assert {array.dtype for array in weights.values() if array.ndim > 1} == {np.dtype(np.float16)}


def test_shipped_model_on_real_pictures(shipped: Predictor, data: Path) -> None:
    """A tenth of the test split. Not the figure to quote: that is `training evaluate`'s."""
    from model.images.decode import decode

    right = []
    for label, real in (("REAL", True), ("FAKE", False)):
        files = sorted((data / "cifake" / "test" / label).iterdir())[::10]
        predictions = shipped.predict_proba([decode(path.read_bytes()).pixels for path in files])
        right += list((predictions >= 0.5) == real)
    assert np.mean(right) > 0.955
