from collections.abc import Mapping
from typing import get_args

import numpy as np
import openvino as ov
import pytest
from openvino.properties import hint, inference_num_threads

from model import SHIPPED
from model.architecture import STAGES, Architecture, Head, Stem
from model.checkpoint import Checkpoint
from model.engines.openvino_grad_cam import build_grad_cam
from model.engines.openvino_graph import weight_shapes
from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError
from tests.pictures import noise

ARCHITECTURES = [Architecture(stem, head) for stem in get_args(Stem) for head in get_args(Head)]
SIGN = np.array([1, -1, -1, 1], np.float32)


def random_weights(architecture: Architecture) -> dict[str, np.ndarray]:
    """Weights that nobody trained, under which gradients neither vanish nor grow."""
    random = np.random.default_rng(0)
    weights = {}
    for name, shape in weight_shapes(architecture).items():
        if len(shape) > 1:
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("weight", "running_var")):
            values = random.uniform(0.5, 1.5, shape) * (0.3 if name.endswith("bn2.weight") else 1)
        else:
            values = random.normal(0, 0.1, shape)
        weights[name] = values.astype(np.float32)
    return weights


def run(graph: ov.Model, batch: np.ndarray, sign: np.ndarray) -> np.ndarray:
    """Heat maps, computed on the CPU in float32."""
    settings = {hint.inference_precision(): ov.Type.f32, inference_num_threads(): 2}
    return ov.Core().compile_model(graph, "CPU", settings)([batch, sign])[0]


def by_torch(
    weights: Mapping[str, np.ndarray],
    architecture: Architecture,
    preprocess: Preprocess,
    batch: np.ndarray,
    sign: np.ndarray,
) -> dict[str, np.ndarray]:
    """Heat maps of each layer, by automatic differentiation."""
    torch = pytest.importorskip("torch")
    from model.grad_cam import grad_cam
    from model.network import build_network

    network = build_network(architecture).eval().requires_grad_(False)
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    pictures = preprocess.normalise(torch.from_numpy(batch).permute(0, 3, 1, 2))
    return {layer: grad_cam(network, pictures, torch.from_numpy(sign), layer).numpy() for layer in STAGES}


@pytest.mark.parametrize("size", [32, 45])  # an odd number of rows leaves none over where a stride is 2
@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.stem}-{a.head}")
def test_heat_maps_are_those_of_automatic_differentiation(architecture: Architecture, size: int) -> None:
    weights, preprocess = random_weights(architecture), Preprocess(size, IMAGENET_MEAN, IMAGENET_STD)
    batch = np.stack([noise(seed, size, size) for seed in range(4)])
    for layer, theirs in by_torch(weights, architecture, preprocess, batch, SIGN).items():
        ours = run(build_grad_cam(weights, architecture, preprocess, layer), batch, SIGN)
        assert ours.shape == (4, size, size)
        assert ours.dtype == np.float32
        assert ours.min() >= 0
        assert ours.max() == 1
        np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize("sign", [1, -1])
def test_heat_maps_of_the_shipped_checkpoint(sign: int) -> None:
    checkpoint = Checkpoint.load(SHIPPED)
    parts = checkpoint.weights, checkpoint.metadata.architecture, checkpoint.metadata.preprocess
    batch = np.stack([noise(seed) for seed in range(6)])
    signs = np.full(6, sign, np.float32)
    expected = by_torch(*parts, batch, signs)
    assert max(heat.max() for heat in expected.values()) == 1
    for layer, theirs in expected.items():
        np.testing.assert_allclose(run(build_grad_cam(*parts, layer), batch, signs), theirs, atol=1e-4)


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
    weights = random_weights(architecture)
    weights["fc.weight"] = np.ones((1, 512), np.float32)
    graph = build_grad_cam(weights, architecture, Preprocess(), "layer4")
    heat = run(graph, np.stack([noise(), noise()]), np.array([1, -1], np.float32))
    assert heat[0].max() == 1
    assert heat[1].max() == 0  # the logit is a sum of activations, and nothing makes it smaller


def test_what_cannot_be_built() -> None:
    with pytest.raises(ValueError, match="no layer 'conv1': one of layer1, layer2, layer3, layer4"):
        build_grad_cam({}, Architecture(), Preprocess(), "conv1")
    with pytest.raises(CheckpointError, match=r"conv1\.weight is missing"):
        build_grad_cam({}, Architecture(), Preprocess())
