from collections.abc import Mapping

import numpy as np
import openvino as ov
import pytest
from openvino.properties import hint

from model import SHIPPED
from model.architecture import STAGES, Architecture
from model.checkpoint import Checkpoint
from model.engines.openvino_grad_cam import build_grad_cam
from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError
from tests.networks import ARCHITECTURES, SIZE, random_weights, run_graph
from tests.pictures import noise

SIGN = np.array([1, -1, -1, 1], np.float32)


def compare(
    weights: Mapping[str, np.ndarray], architecture: Architecture, preprocess: Preprocess, *layers: str
) -> None:
    """Raise AssertionError where a heat map is not what automatic differentiation gives."""
    torch = pytest.importorskip("torch")
    from model.grad_cam import grad_cam
    from model.network import build_network

    size = preprocess.size
    batch = np.stack([noise(seed, size, size) for seed in range(4)])
    network = build_network(architecture).eval().requires_grad_(False)
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    pictures = preprocess.normalize(torch.from_numpy(batch).permute(0, 3, 1, 2))
    for layer in layers:
        [ours] = run_graph(build_grad_cam(weights, architecture, preprocess, layer), batch, SIGN)
        assert ours.shape == (4, size, size)
        assert ours.dtype == np.float32
        assert ours.min() >= 0
        assert ours.max() == 1
        theirs = grad_cam(network, pictures, torch.from_numpy(SIGN), layer)
        np.testing.assert_allclose(ours, theirs.numpy(), atol=1e-4)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.stem}-{a.head}")
def test_heat_maps_are_those_of_automatic_differentiation(architecture: Architecture) -> None:
    preprocess = Preprocess(SIZE, IMAGENET_MEAN, IMAGENET_STD)
    compare(random_weights(architecture), architecture, preprocess, "layer1", "layer4")


def test_heat_maps_of_the_shipped_checkpoint() -> None:
    checkpoint = Checkpoint.load(SHIPPED)
    metadata = checkpoint.metadata
    compare(checkpoint.weights, metadata.architecture, metadata.preprocess, *STAGES)


def test_batches_of_any_length() -> None:
    architecture = Architecture()
    graph = build_grad_cam(random_weights(architecture), architecture, Preprocess())
    batch = np.stack([noise(seed) for seed in range(4)])
    compiled = ov.Core().compile_model(graph, "CPU", {hint.inference_precision(): ov.Type.f32})
    together = compiled([batch, SIGN])[0].copy()
    for index in range(4):
        [heat] = compiled([batch[index : index + 1], SIGN[index : index + 1]])[0]
        np.testing.assert_allclose(heat, together[index], atol=1e-4)


def test_a_map_without_a_positive_place_is_zero() -> None:
    architecture = Architecture()
    weights = random_weights(architecture) | {"fc.weight": np.ones((1, 512), np.float32)}
    graph = build_grad_cam(weights, architecture, Preprocess(), "layer4")
    [heat] = run_graph(graph, np.stack([noise(), noise()]), np.array([1, -1], np.float32))
    assert heat[0].max() == 1
    assert heat[1].max() == 0  # the logit is a sum of activations, and nothing makes it smaller


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="no layer 'conv1': one of layer1, layer2, layer3, layer4"):
        build_grad_cam({}, Architecture(), Preprocess(), "conv1")
    with pytest.raises(CheckpointError, match=r"conv1\.weight is missing"):
        build_grad_cam({}, Architecture(), Preprocess())
