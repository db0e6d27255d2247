import hashlib
import io
from dataclasses import replace
from email.message import Message
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.models import ResNet18_Weights, resnet18
from torchvision.models._api import Weights, WeightsEnum

from model.architecture import Architecture, Head, Stem
from model.checkpoint import Checkpoint
from model.metadata import CheckpointError, CheckpointMetadata
from model.network import build_network
from model.predictor import Predictor
from model.tensors import to_arrays
from tests.networks import build_narrow_networks, needs_timm
from tests.pictures import noise
from training.data.labelled_images import LabelledImages
from training.fitting import initial_weights as initial
from training.fitting.initial_weights import (
    InitialWeightsError,
    digest_of,
    initial_weights,
    negate_inverted_head,
)
from training.fitting.recipes import RECIPES


def test_none_is_nothing() -> None:
    assert initial_weights("none", Architecture()) == {}


def test_imagenet_from_torchvisions_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    theirs = resnet18().state_dict()
    torch.save(theirs, tmp_path / "published.pth")
    begins = hashlib.sha256((tmp_path / "published.pth").read_bytes()).hexdigest()[:8]
    cached = tmp_path / "hub" / "checkpoints" / f"resnet18-{begins}.pth"
    cached.parent.mkdir(parents=True)
    (tmp_path / "published.pth").rename(cached)

    class Published(WeightsEnum):
        V1 = Weights(f"https://example.invalid/{cached.name}", transforms=None, meta={})  # type: ignore[arg-type]

    monkeypatch.setattr(initial, "IMAGENET", Published.V1)
    for stem, fits in (("imagenet", True), ("small-pool", False)):
        weights = initial_weights("imagenet", Architecture(stem))  # type: ignore[arg-type]
        assert torch.equal(weights["layer4.1.conv2.weight"], theirs["layer4.1.conv2.weight"])
        assert "fc.weight" not in weights
        assert ("conv1.weight" in weights) is fits


@pytest.mark.parametrize("content", ["other weights", "cut short", "nothing"])
def test_another_file_in_torchvisions_cache(
    content: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    cached = tmp_path / "hub" / "checkpoints" / Path(ResNet18_Weights.IMAGENET1K_V1.url).name
    cached.parent.mkdir(parents=True)
    torch.save({"fc.bias": torch.zeros(1000)}, cached)
    data = cached.read_bytes()
    cached.write_bytes({"other weights": data, "cut short": data[:1000], "nothing": b""}[content])
    with pytest.raises(
        InitialWeightsError, match=r"resnet18-f37072fd.pth is not the file that https://.*Delete it"
    ):
        initial_weights("imagenet", Architecture())


def test_the_hash_of_a_download_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*args: object, **kwargs: object) -> io.BytesIO:
        page = io.BytesIO(b"<html>Log in to the network</html>")
        page.info = Message  # type: ignore[attr-defined]
        return page

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", wrong)
    with pytest.raises(InitialWeightsError, match=r"invalid hash value.*--init none"):
        initial_weights("imagenet", Architecture())
    assert list((tmp_path / "hub" / "checkpoints").iterdir()) == []


def test_digest_of_weights_by_name_type_shape_and_value() -> None:
    one = {"a": torch.zeros(2, 3), "b": torch.arange(3)}
    assert digest_of(one) == digest_of(dict(reversed(one.items())))
    assert digest_of(one) == digest_of(one | {"a": torch.zeros(3, 2).T})
    others = [
        {"a": one["a"]},
        {"a": one["a"], "c": one["b"]},
        one | {"a": torch.zeros(3, 2)},
        one | {"a": torch.zeros(2, 3, dtype=torch.int32)},
        one | {"b": torch.tensor([0, 1, 3])},
    ]
    assert len({digest_of(weights) for weights in [one, *others]}) == 6


def test_imagenet_offline_is_a_clear_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.urlopen", offline)
    with pytest.raises(InitialWeightsError, match=r"resnet18.*no network.*TORCH_HOME.*--init none"):
        initial_weights("imagenet", Architecture())


@needs_timm
@pytest.mark.parametrize("stem", ["imagenet", "small"])
def test_imagenet_by_timm(stem: Stem, monkeypatch: pytest.MonkeyPatch) -> None:
    import timm

    create, asked = timm.create_model, []

    def cached(name: str, *, pretrained: bool, **options: Any) -> nn.Module:
        asked.append((name, pretrained))
        return create(name, **options)

    monkeypatch.setattr(timm, "create_model", cached)
    weights = initial_weights("imagenet", Architecture(stem, backbone="mobilenetv3_small"))
    assert asked[0] == ("mobilenetv3_small_100", True)
    assert "body.conv_stem.weight" in weights
    assert not [name for name in weights if name.startswith("head")]


@needs_timm
def test_imagenet_by_timm_offline_is_a_clear_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    def offline(*args: object, **kwargs: object) -> None:
        raise URLError("no network")

    monkeypatch.setattr("timm.create_model", offline)
    with pytest.raises(InitialWeightsError, match=r"of vit_tiny .* by timm: .*no network.*--init none"):
        initial_weights("imagenet", Architecture().with_backbone("vit_tiny"))


@needs_timm
def test_weights_of_another_backbone_do_not_fit() -> None:
    architecture = Architecture().with_backbone("mobilenetv3_small")
    with pytest.raises(InitialWeightsError, match="no tensor of shipped fits .* mobilenetv3_small"):
        initial_weights("shipped", architecture)


def test_a_checkpoint(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "x.pth")
    weights = initial_weights(str(tmp_path / "x.pth"), Architecture("small-pool", "mlp"))
    assert weights["conv1.weight"].dtype == torch.float32
    assert "conv1.weight" in weights
    assert "fc.weight" not in weights


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="there is no file"):
        initial_weights(str(tmp_path / "x.pth"), Architecture())


def test_shipped_weights_fit_the_recipe_that_tunes_them() -> None:
    recipe = RECIPES["hackathon"]
    weights = initial_weights("shipped", recipe.architecture)
    assert weights.keys() == build_network(recipe.architecture).state_dict().keys()


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_weights_that_say_the_opposite_are_turned(head: Head, monkeypatch: pytest.MonkeyPatch) -> None:
    build_narrow_networks(monkeypatch)
    recipe = replace(RECIPES["cifake"], architecture=Architecture("small-pool", head))
    torch.manual_seed(0)
    weights = build_network(recipe.architecture).state_dict()
    images = np.stack([noise(seed) for seed in range(16)])
    metadata = CheckpointMetadata(recipe.architecture, recipe.preprocess)
    checkpoint = Checkpoint(metadata, to_arrays(weights))
    z = Predictor.from_checkpoint(checkpoint, "cpu").logits(images)
    says = (z > np.median(z)).astype(np.uint8)
    last = "fc" if head == "linear" else "fc.3"
    weights |= {f"{last}.bias": weights[f"{last}.bias"] - float(np.median(z))}
    same, right = negate_inverted_head(weights, recipe, LabelledImages(images, says, [""] * 16, []))
    assert (right, same) == (1.0, weights)
    opposite, right = negate_inverted_head(weights, recipe, LabelledImages(images, 1 - says, [""] * 16, []))
    assert right == 0
    changed = {name for name, tensor in weights.items() if not torch.equal(tensor, opposite[name])}
    assert changed == {f"{last}.weight", f"{last}.bias"}
    after = Predictor.from_checkpoint(replace(checkpoint, weights=to_arrays(opposite)), "cpu").logits(images)
    assert ((after > 0) == (says == 0)).all()


def test_weights_without_a_last_layer_are_left_alone() -> None:
    recipe = RECIPES["cifake"]
    weights = build_network(recipe.architecture).state_dict()
    del weights["fc.weight"]
    pictures = LabelledImages(np.stack([noise(0)]), np.array([1], np.uint8), [""], [])
    same, right = negate_inverted_head(weights, recipe, pictures)
    assert same is weights
    assert np.isnan(right)
