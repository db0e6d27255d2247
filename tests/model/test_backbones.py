import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.architecture import Architecture, Head, Stem
from model.backbones import BackboneError, BackboneNetwork, create_body, halve_stride
from model.checkpoint import Checkpoint, as_saved
from model.grad_cam import grad_cam
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError, CheckpointMetadata
from model.network import build_network, fuse_batch_norms, logits_and_means
from model.predictor import Predictor
from tests.networks import BY_TIMM, needs_timm, random_backbone

IMAGES = torch.randn((4, 3, 32, 32), generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module", params=BY_TIMM)
def checkpoint(request: pytest.FixtureRequest) -> Checkpoint:
    return random_backbone(request.param)


@pytest.fixture(scope="module")
def network(checkpoint: Checkpoint) -> BackboneNetwork:
    network = checkpoint.network().requires_grad_(False)
    assert isinstance(network, BackboneNetwork)
    return network


@needs_timm
def test_logits_and_features(checkpoint: Checkpoint, network: BackboneNetwork) -> None:
    for side in (32, 24, 16):  # of the crops of progressive resizing
        images = IMAGES[..., :side, :side]
        z, features = logits_and_means(network, images)
        assert z.shape == (4,)
        assert features.shape == (4, checkpoint.metadata.architecture.ood_features)
        torch.testing.assert_close(z, network(images)[:, 0])
        assert z.std() > 1e-3


@needs_timm
def test_the_network_for_one_size_computes_the_same(checkpoint: Checkpoint, network: BackboneNetwork) -> None:
    fixed = checkpoint.network()
    assert isinstance(fixed, BackboneNetwork)
    fixed.fix_size(24)
    assert not any(module.training for module in fixed.modules())
    assert fixed.state_dict().keys() == network.state_dict().keys()
    images = IMAGES[..., :24, :24]
    torch.testing.assert_close(fixed(images), network(images), atol=1e-4, rtol=1e-4)


@needs_timm
def test_fusing_batch_norms_changes_nothing(checkpoint: Checkpoint, network: BackboneNetwork) -> None:
    fused = fuse_batch_norms(checkpoint.network())
    for one, other in zip(logits_and_means(fused, IMAGES), logits_and_means(network, IMAGES), strict=True):
        torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


@needs_timm
def test_the_checkpoint_file(checkpoint: Checkpoint, tmp_path: Path) -> None:
    checkpoint.save(tmp_path / "x.pth")
    loaded = Checkpoint.load(tmp_path / "x.pth")
    assert loaded.metadata.architecture == checkpoint.metadata.architecture
    assert loaded.weights.keys() == checkpoint.weights.keys()
    for name, array in as_saved(checkpoint.weights).items():
        np.testing.assert_array_equal(loaded.weights[name].astype(array.dtype), array)
    missing = {name: array for name, array in loaded.weights.items() if name != "head.1.bias"}
    with pytest.raises(CheckpointError, match=r"(?s)do not fit the network they name: .*head\.1\.bias"):
        Checkpoint(loaded.metadata, missing).network()


@needs_timm
@pytest.mark.parametrize("layer", ["layer2", "layer4"])
def test_heat_maps_are_the_reference_librarys(layer: str, network: BackboneNetwork) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries under it have to say of one another
        pytest.importorskip("pytorch_grad_cam")
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import RawScoresOutputTarget

    ours = grad_cam(network, IMAGES, torch.ones(4), layer).numpy()
    assert ours.shape == (4, 32, 32)
    assert ours.max() == pytest.approx(1, abs=1e-5)
    with GradCAM(network, [network.stage(layer)], reshape_transform=network.to_maps) as reference:
        theirs = reference(IMAGES.clone().requires_grad_(), [RawScoresOutputTarget()] * 4)
    for one, other in zip(ours, theirs, strict=True):
        low = one.min()  # the library stretches each map to go from 0 to 1, before it enlarges it
        np.testing.assert_allclose((one - low) / max(1e-7, one.max() - low), other, atol=2e-2)


@needs_timm
@pytest.mark.parametrize(("head", "last"), [("linear", 1), ("mlp", 3)])
def test_the_last_two_weights_are_of_the_last_layer(head: Head, last: int) -> None:
    """As `training.fitting.initial_weights.negate_inverted_head` takes them to be."""
    network = build_network(Architecture(head=head, dropout=0.5).with_backbone("mobilenetv3_small"))
    assert [*network.state_dict()][-2:] == [f"head.{last}.weight", f"head.{last}.bias"]
    assert any(isinstance(module, nn.Dropout) and module.p == 0.5 for module in network.modules())


@needs_timm
@pytest.mark.parametrize(
    ("backbone", "stem", "size", "side"),
    [
        ("mobilenetv3_small", "imagenet", 64, 2),
        ("mobilenetv3_small", "small", 64, 4),
        ("vit_tiny", "imagenet", 64, 4),
        ("vit_tiny", "small", 64, 16),
    ],
)
def test_the_stem_small_sees_an_image_at_a_higher_resolution(
    backbone: str, stem: Stem, size: int, side: int
) -> None:
    network = build_network(Architecture(stem, backbone=backbone))
    assert isinstance(network, BackboneNetwork)
    found: list[Tensor] = []
    network.stage("layer4").register_forward_hook(lambda module, inputs, output: found.append(output))
    network.eval()(torch.zeros(1, 3, size, size))
    assert network.to_maps(found[0]).shape[2:] == (side, side)


@pytest.mark.parametrize(("side", "stride"), [(7, 2), (3, 2), (4, 4)])
def test_half_the_stride_doubles_the_side(side: int, stride: int) -> None:
    convolution = nn.Conv2d(3, 4, side, stride, padding=side // 2 if side % 2 else 0)
    images = torch.zeros(1, 3, 32, 32)
    before = convolution(images).shape[2:]
    halve_stride(convolution)
    assert convolution(images).shape[2:] == tuple(2 * length for length in before)


@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("backbone", BY_TIMM)
def test_without_timm_one_sentence_says_what_to_install(
    backbone: str, engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    architecture = Architecture().with_backbone(backbone)
    told = rf"the backbone {backbone} is built by timm, which is missing .*: pip install --group backbones$"
    with pytest.raises(BackboneError, match=told):
        create_body(architecture)
    weights: dict[str, Any] = {"head.1.bias": np.zeros(1, np.float32)}
    Checkpoint(CheckpointMetadata(architecture, Preprocess()), weights).save(tmp_path / "x.pth")
    assert Checkpoint.load(tmp_path / "x.pth").metadata.architecture == architecture
    with pytest.raises(ValueError, match=told):
        Predictor.load(tmp_path / "x.pth", "cpu", engine)
