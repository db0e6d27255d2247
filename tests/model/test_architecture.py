import sys
from typing import Any

import numpy as np
import pytest

from model import SHIPPED
from model.architecture import BACKBONES, CHANNEL_MEANS, Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.predictor import Predictor
from tests.networks import BY_TIMM


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"stem": "large"}, "unknown stem 'large': one of imagenet, small"),
        ({"head": "cubic"}, "unknown head 'cubic': one of linear, mlp"),
        ({"dropout": 1.0}, "dropout must be in"),
        ({"backbone": "vgg16"}, "unknown backbone 'vgg16': one of resnet18, resnet50"),
        ({"backbone": "vit_tiny"}, "vit_tiny has no stem small-pool: it has imagenet or small"),
    ],
)
def test_invalid_architectures_are_refused(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Architecture(**values)


@pytest.mark.parametrize("backbone", BACKBONES)
def test_another_backbone_has_a_stem_for_the_same_size(backbone: str) -> None:
    own = "small-pool" if backbone == "resnet18" else "small"
    for stem, expected in (("small-pool", own), ("imagenet", "imagenet")):
        found = Architecture(stem, "mlp", 0.25).with_backbone(backbone)  # type: ignore[arg-type]
        assert found == Architecture(expected, "mlp", 0.25, backbone)  # type: ignore[arg-type]
        assert found.with_backbone(backbone) == found


@pytest.mark.parametrize("backbone", BACKBONES)
def test_only_other_backbones_than_resnet18_are_named_in_files(backbone: str) -> None:
    architecture = Architecture().with_backbone(backbone)
    fields = architecture.to_dict()
    assert fields.get("backbone", "resnet18") == backbone
    assert ("backbone" in fields) is (backbone in BY_TIMM)
    metadata = CheckpointMetadata(architecture, Preprocess())
    assert CheckpointMetadata.from_dict(metadata.to_dict()) == metadata


def test_the_shipped_file_is_of_resnet18_and_stays_as_it_is(shipped: Predictor) -> None:
    checkpoint = Checkpoint.load(SHIPPED)
    assert checkpoint.metadata.architecture == Architecture("small-late-pool", "linear", backbone="resnet18")
    assert checkpoint.metadata.architecture.ood_features == CHANNEL_MEANS
    fields = checkpoint.metadata.to_dict()
    assert fields["architecture"] == {"stem": "small-late-pool", "head": "linear", "dropout": 0.0}
    assert fields["ood_detector"].keys() == {"mean", "whitening", "threshold"}


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_without_timm_the_shipped_model_answers_the_same(
    engine: str, shipped: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    pictures = np.random.default_rng(0).integers(0, 256, (5, 32, 32, 3), np.uint8)
    found = Predictor.load(device="cpu", engine=engine)
    np.testing.assert_allclose(found.predict_proba(pictures), shipped.predict_proba(pictures), atol=1e-5)
