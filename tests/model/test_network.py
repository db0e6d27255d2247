import pytest
import torch
from torch import nn
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
def test_tiny_convolution_is_a_convolution(side: int, bias: bool) -> None:
    torch.manual_seed(0)
    tiny = TinyConv2d(5, 7, 3, padding=1, bias=bias)
    reference = nn.Conv2d(5, 7, 3, padding=1, bias=bias)
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
