import warnings

import numpy as np
import pytest
import torch

from model import SHIPPED
from model.architecture import STAGES
from model.checkpoint import Checkpoint
from model.explain import grad_cam
from model.predictor import Predictor
from tests.pictures import noise


@pytest.mark.parametrize("layer", STAGES)
def test_it_is_the_reference_librarys(layer: str, shipped: Predictor) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what the libraries under it have to say of one another
        from pytorch_grad_cam import GradCAM
        from pytorch_grad_cam.utils.model_targets import RawScoresOutputTarget

    class Answered(RawScoresOutputTarget):
        def __call__(self, output: torch.Tensor) -> torch.Tensor:
            return output.sign() * output

    network = Checkpoint.load(SHIPPED).network()
    batch = torch.from_numpy(np.stack([noise(seed) for seed in range(6)])).permute(0, 3, 1, 2)
    pictures = shipped.preprocess.normalise(batch)
    ours = grad_cam(network, pictures, layer).numpy()
    with GradCAM(network, [network.get_submodule(layer)]) as reference:
        theirs = reference(pictures, [Answered()] * 6)
    assert theirs.max() > 0.99
    for one, other in zip(ours, theirs, strict=True):
        # The library stretches each map to go from 0 to 1, before it enlarges it.
        low = one.min()
        np.testing.assert_allclose((one - low) / max(1e-7, one.max() - low), other, atol=2e-2)


def test_one_map_a_picture_whatever_the_layer(random_checkpoint: Checkpoint) -> None:
    predictor = Predictor.of(random_checkpoint, "cpu", batch_size=2)
    pictures = [noise(seed, 40, 40) for seed in range(3)]
    for layer in STAGES:
        heat = predictor.explain(pictures, layer)
        assert heat.shape == (3, 32, 32)
        assert heat.dtype == np.float32
        assert heat.min() >= 0
        assert heat.max() <= 1
    assert predictor.explain([]).shape == (0, 32, 32)
    with pytest.raises(ValueError, match="layer1, layer2"):
        predictor.explain(pictures, "conv1")


def test_it_points_at_the_only_thing_there_is(random_checkpoint: Checkpoint) -> None:
    """A network whose logit is the mean of what its first stage sees, on a bright spot in the dark."""
    network = random_checkpoint.network()
    for name in STAGES[1:]:
        setattr(network, name, torch.nn.Identity())
    network.layer1 = torch.nn.MaxPool2d(1)
    network.conv1 = torch.nn.Conv2d(3, 64, 1, bias=False)
    network.fc = torch.nn.Linear(64, 1, bias=False)
    torch.nn.init.ones_(network.conv1.weight)
    torch.nn.init.ones_(network.fc.weight)
    picture = torch.zeros(1, 3, 32, 32)
    picture[..., 4:8, 20:24] = 1
    [heat] = grad_cam(network.eval(), picture, "layer1")
    row, column = divmod(int(heat.argmax()), 32)
    assert 4 <= row < 8
    assert 20 <= column < 24
    assert heat[:, :16].max() == 0
