from pathlib import Path
from urllib.error import URLError

import pytest
import torch
from torchvision.models import ResNet18_Weights, resnet18

from model.checkpoint import Checkpoint, CheckpointError
from model.network import Architecture
from training.initial import InitialWeightsError, initial_weights


def test_none_is_nothing() -> None:
    assert initial_weights("none", Architecture()) == {}


def test_imagenet_from_torchvisions_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    cached.parent.mkdir(parents=True)
    theirs = resnet18().state_dict()
    torch.save(theirs, cached)
    for stem, fits in (("imagenet", True), ("small-pool", False)):
        weights = initial_weights("imagenet", Architecture(stem))  # type: ignore[arg-type]
        assert torch.equal(weights["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
        assert "fc.weight" not in weights
        assert ("conv1.weight" in weights) is fits


def test_imagenet_offline_is_a_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(InitialWeightsError, match=r"resnet18.*no network.*TORCH_HOME.*--init none"):
        initial_weights("imagenet", Architecture())


def test_a_checkpoint(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "x.pth")
    weights = initial_weights(str(tmp_path / "x.pth"), Architecture("small-pool", "mlp"))
    assert weights["conv1.weight"].dtype == torch.float32
    assert "conv1.weight" in weights
    assert "fc.weight" not in weights


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        initial_weights(str(tmp_path / "x.pth"), Architecture())
