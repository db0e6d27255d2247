from typing import get_args

import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from model.architecture import CHANNEL_MEANS, Architecture, Head, Stem
from model.images.preprocess import Preprocess
from model.network import (
    TinyConv2d,
    build_network,
    fuse_batch_norms,
    logits,
    logits_and_means,
    place_pool,
    predict_logits,
    stages,
)

SMALL_STEMS: list[Stem] = [stem for stem in get_args(Stem) if stem != "imagenet"]


@pytest.mark.parametrize(
    ("stem", "side"), [("imagenet", 64), ("small", 32), ("small-pool", 32), ("small-late-pool", 32)]
)
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_one_logit_per_image(stem: Stem, side: int, head: Head) -> None:
    network = build_network(Architecture(stem, head)).eval()
    images = torch.rand(3, 3, side, side)
    z = logits(network, images)
    assert z.shape == (3,)
    again, means = logits_and_means(network, images)
    assert torch.equal(again, z)
    assert means.shape == (3, CHANNEL_MEANS)
    assert means.min() >= 0


def test_imagenet_stem_is_that_of_torchvision() -> None:
    ours = build_network(Architecture("imagenet", "linear")).state_dict()
    theirs = resnet18(num_classes=1).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


@pytest.mark.parametrize(
    ("stem", "sides"),
    [
        ("imagenet", [8, 8, 4, 2, 1]),
        ("small", [32, 32, 16, 8, 4]),
        ("small-pool", [16, 16, 8, 4, 2]),
        ("small-late-pool", [32, 16, 8, 4, 2]),
    ],
)
def test_sides_of_the_feature_maps(stem: Stem, sides: list[int]) -> None:
    maps = stages(build_network(Architecture(stem)), torch.zeros(2, 3, 32, 32))
    assert [one.shape[-1] for one in maps] == sides


@pytest.mark.parametrize("before", SMALL_STEMS)
@pytest.mark.parametrize("after", SMALL_STEMS)
def test_the_pool_moves_and_the_parameters_stay(before: Stem, after: Stem) -> None:
    moved = build_network(Architecture(before))
    parameters = dict(moved.named_parameters())
    place_pool(moved, after)
    built = build_network(Architecture(after))
    built.load_state_dict(moved.state_dict())
    assert all(parameter is parameters[name] for name, parameter in moved.named_parameters())
    images = torch.rand(2, 3, 32, 32)
    for mode in (True, False):  # batch norms compute otherwise in training
        assert torch.equal(moved.train(mode)(images), built.train(mode)(images))


@pytest.mark.parametrize("stem", get_args(Stem))
def test_all_convolutions_but_1x1_are_tiny_conv2d(stem: Stem) -> None:
    convolutions = [m for m in build_network(Architecture(stem)).modules() if isinstance(m, nn.Conv2d)]
    assert len(convolutions) == 20
    assert all(isinstance(m, TinyConv2d) == (m.kernel_size != (1, 1)) for m in convolutions)


def test_initial_weights_are_torchvisions_for_the_same_seed() -> None:
    """Replacing the convolutions draws no random numbers."""
    torch.manual_seed(0)
    expected = resnet18(zero_init_residual=True).state_dict()
    state = torch.get_rng_state()
    torch.manual_seed(0)
    found = build_network(Architecture("imagenet", "linear")).state_dict()
    assert list(found) == list(expected)
    for name in found.keys() - {"fc.weight", "fc.bias"}:
        assert torch.equal(found[name], expected[name])
    torch.set_rng_state(state)
    assert torch.equal(found["fc.weight"], nn.Linear(512, 1).weight)


@pytest.mark.parametrize("bias", [False, True])
def test_from_conv_copies_parameters(bias: bool) -> None:
    conv = nn.Conv2d(5, 7, 3, stride=2, padding=1, bias=bias)
    state = torch.get_rng_state()
    tiny = TinyConv2d.from_conv(conv)
    assert torch.equal(torch.get_rng_state(), state)
    maps = torch.randn(2, 5, 6, 6)
    assert torch.equal(tiny(maps), conv(maps))
    assert tiny.weight is not conv.weight


@pytest.mark.parametrize("stem", ["imagenet", "small-pool"])
def test_fused_batch_norms_do_not_change_results(stem: Stem) -> None:
    torch.manual_seed(0)
    network = build_network(Architecture(stem))
    images = torch.rand(8, 3, 32, 32)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    network(images)  # sets running means and variances
    expected = network.eval()(images)
    torch.testing.assert_close(fuse_batch_norms(network)(images), expected)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in network.modules())


def test_predict_logits() -> None:
    """In batches, in evaluation mode."""
    network, preprocess = build_network(Architecture(dropout=0.5)), Preprocess(16)
    images = torch.randint(256, (5, 3, 16, 16), dtype=torch.uint8)
    found = predict_logits(network, images, preprocess, batch_size=2)
    torch.testing.assert_close(found, logits(network.eval(), preprocess.normalize(images)))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2)])
def test_tiny_conv2d_computes_a_convolution(kernel: int, stride: int, side: int, bias: bool) -> None:
    torch.manual_seed(0)
    tiny = TinyConv2d(5, 7, kernel, stride, padding=kernel // 2, bias=bias)
    reference = nn.Conv2d(5, 7, kernel, stride, padding=kernel // 2, bias=bias)
    reference.load_state_dict(tiny.state_dict())
    maps = torch.randn(4, 5, side, side, requires_grad=True)
    expected, found = reference(maps), tiny(maps)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    gradients = [torch.autograd.grad(out, [maps, layer.weight], upstream)
                 for out, layer in ((expected, reference), (found, tiny))]  # fmt: skip
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_dropout_is_active_in_training_only_and_has_no_weights(head: Head) -> None:
    torch.manual_seed(0)
    dropout = build_network(Architecture("small-pool", head, dropout=0.5))
    plain = build_network(Architecture("small-pool", head))
    plain.load_state_dict(dropout.state_dict())
    images = torch.rand(4, 3, 32, 32)
    assert torch.equal(dropout.eval()(images), plain.eval()(images))
    assert not torch.equal(dropout.train()(images), dropout(images))


def leave_nan_in_freed_memory(*tensors: Tensor) -> None:
    """Memory that is allocated next at these sizes holds NaN until it is written to."""
    blocks = [torch.full((tensor.numel(),), torch.nan, dtype=dtype) for tensor in tensors for dtype in DTYPES]
    del blocks


DTYPES = (torch.float32, torch.bfloat16)


def gradients(layer: nn.Module, maps: Tensor, bf16: bool) -> list[Tensor]:
    """Gradients of the layer's input and parameters, in float32, for a fixed upstream gradient."""
    maps = maps.clone().requires_grad_()
    inputs = [maps, *layer.parameters()]
    if bf16:
        leave_nan_in_freed_memory(*inputs)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = layer(maps).float()
    upstream = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    if bf16:
        leave_nan_in_freed_memory(*inputs)
    return [gradient.float() for gradient in torch.autograd.grad(out, inputs, upstream)]


@pytest.mark.parametrize(
    ("stem", "sides"), [("small-pool", (8, 16, 24, 32)), ("small", (8, 32)), ("imagenet", (1, 8, 32, 64))]
)
def test_bf16_gradients_of_every_layer_are_those_of_f32(stem: Stem, sides: tuple[int, ...]) -> None:
    """For every size of feature map. On a processor without bf16 it is emulated."""
    torch.manual_seed(0)
    network = build_network(Architecture(stem))
    seen: dict[tuple, tuple[nn.Module, Tensor]] = {}

    def record(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        seen.setdefault((str(layer), inputs[0].shape), (layer, inputs[0].detach().clone()))

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d)):
            layer.register_forward_pre_hook(record)
    for side in sides:
        network(torch.randn(8, 3, side, side))
    for key, (layer, maps) in seen.items():
        layer._forward_pre_hooks.clear()
        maps = torch.randn(maps.shape)  # early in training some are zero
        expected = gradients(layer, maps, bf16=False)
        for _ in range(3):
            for one, other in zip(gradients(layer, maps, bf16=True), expected, strict=True):
                assert (one - other).norm() <= 0.02 * other.norm() + 1e-4, key
