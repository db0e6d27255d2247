import pytest
import torch
from torch import Tensor, nn
from torchvision.models import resnet18

from model.architecture import CHANNEL_MEANS, Architecture, Head, Stem
from model.network import TinyConv2d, build_network, logits, logits_and_means


@pytest.mark.parametrize(("stem", "side"), [("imagenet", 64), ("small", 32), ("small-pool", 32)])
@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_one_logit_a_picture(stem: Stem, side: int, head: Head) -> None:
    network = build_network(Architecture(stem, head)).eval()
    pictures = torch.rand(3, 3, side, side)
    z = logits(network, pictures)
    assert z.shape == (3,)
    again, means = logits_and_means(network, pictures)
    assert torch.equal(again, z)
    assert means.shape == (3, CHANNEL_MEANS)
    assert means.min() >= 0


def test_imagenet_stem_is_torchvisions_resnet18() -> None:
    ours = build_network(Architecture("imagenet", "linear")).state_dict()
    theirs = resnet18(num_classes=1).state_dict()
    assert {name: tensor.shape for name, tensor in ours.items()} == {
        name: tensor.shape for name, tensor in theirs.items()
    }


def test_pooled_stem_halves_the_map() -> None:
    pictures = torch.zeros(1, 3, 32, 32)
    sides = {}
    for stem in ("small", "small-pool"):
        network = build_network(Architecture(stem))
        sides[stem] = network.maxpool(network.conv1(pictures)).shape[-1]
    assert sides == {"small": 32, "small-pool": 16}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("side", [1, 2, 3, 4])
@pytest.mark.parametrize(("kernel", "stride"), [(3, 1), (3, 2), (7, 2)])
def test_tiny_convolution_is_a_convolution(kernel: int, stride: int, side: int, bias: bool) -> None:
    torch.manual_seed(0)
    tiny = TinyConv2d(5, 7, kernel, stride, padding=kernel // 2, bias=bias)
    reference = nn.Conv2d(5, 7, kernel, stride, padding=kernel // 2, bias=bias)
    reference.load_state_dict(tiny.state_dict())
    maps = torch.randn(4, 5, side, side, requires_grad=True)
    expected, found = reference(maps), tiny(maps)
    torch.testing.assert_close(found, expected)
    pull = torch.randn_like(expected)
    gradients = [torch.autograd.grad(out, [maps, layer.weight], pull)
                 for out, layer in ((expected, reference), (found, tiny))]  # fmt: skip
    torch.testing.assert_close(gradients[0], gradients[1])


@pytest.mark.parametrize("values", [{"stem": "large"}, {"head": "cubic"}, {"dropout": 1.0}])
def test_unknown_choices_are_refused(values: dict) -> None:
    with pytest.raises(ValueError, match="stem|head|dropout"):
        Architecture(**values)


@pytest.mark.parametrize("head", ["linear", "mlp"])
def test_dropout_is_for_training_and_has_no_weights(head: Head) -> None:
    torch.manual_seed(0)
    dropping = build_network(Architecture("small-pool", head, dropout=0.5))
    plain = build_network(Architecture("small-pool", head))
    plain.load_state_dict(dropping.state_dict())
    pictures = torch.rand(4, 3, 32, 32)
    assert torch.equal(dropping.eval()(pictures), plain.eval()(pictures))
    assert not torch.equal(dropping.train()(pictures), dropping(pictures))


def leave_nan_in_freed_memory(*tensors: Tensor) -> None:
    """What is allocated next at these sizes starts as NaN, unless it is written to."""
    blocks = [torch.full((tensor.numel(),), torch.nan, dtype=dtype) for tensor in tensors for dtype in DTYPES]
    del blocks


DTYPES = (torch.float32, torch.bfloat16)


def gradients(layer: nn.Module, maps: Tensor, bf16: bool) -> list[Tensor]:
    """Of the layer's input and parameters, in float32, for a pull that is the same each time."""
    maps = maps.clone().requires_grad_()
    wanted = [maps, *layer.parameters()]
    if bf16:
        leave_nan_in_freed_memory(*wanted)
    with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
        out = layer(maps).float()
    pull = torch.randn(out.shape, generator=torch.Generator().manual_seed(0))
    if bf16:
        leave_nan_in_freed_memory(*wanted)
    return [gradient.float() for gradient in torch.autograd.grad(out, wanted, pull)]


@pytest.mark.parametrize(
    ("stem", "windows"), [("small-pool", (8, 16, 24, 32)), ("small", (8, 32)), ("imagenet", (1, 8, 32, 64))]
)
def test_bf16_gradients_of_every_layer_are_those_of_f32(stem: Stem, windows: tuple[int, ...]) -> None:
    """On every map that it meets. bf16 is asked for, whether the processor has it or not."""
    torch.manual_seed(0)
    network = build_network(Architecture(stem))
    met: dict[tuple, tuple[nn.Module, Tensor]] = {}

    def remember(layer: nn.Module, inputs: tuple[Tensor]) -> None:
        met.setdefault((str(layer), inputs[0].shape), (layer, inputs[0].detach().clone()))

    for layer in network.modules():
        if isinstance(layer, (nn.Conv2d, nn.BatchNorm2d, nn.Linear, nn.MaxPool2d, nn.AdaptiveAvgPool2d)):
            layer.register_forward_pre_hook(remember)
    for side in windows:
        network(torch.randn(8, 3, side, side))
    for what, (layer, maps) in met.items():
        layer._forward_pre_hooks.clear()
        maps = torch.randn(maps.shape)  # early in training some are zero
        expected = gradients(layer, maps, bf16=False)
        for _ in range(3):
            for one, other in zip(gradients(layer, maps, bf16=True), expected, strict=True):
                assert (one - other).norm() <= 0.02 * other.norm() + 1e-4, what
