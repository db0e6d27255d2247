import subprocess
import sys
from collections.abc import Mapping

import numpy as np
import pytest
from PIL import Image

from model import ROOT, SHIPPED
from model.architecture import CHANNEL_MEANS, Architecture
from model.checkpoint import Checkpoint
from model.engines.openvino_graph import build_graph, fold_batch_norms, norm_of, weight_shapes
from model.engines.quantization import quantize
from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointError
from tests.networks import ARCHITECTURES, SIZE, random_weights, run_graph
from tests.pictures import noise


def by_torch(
    weights: Mapping[str, np.ndarray], architecture: Architecture, preprocess: Preprocess, batch: np.ndarray
) -> list[np.ndarray]:
    torch = pytest.importorskip("torch")
    from model.network import build_network, logits_and_means

    network = build_network(architecture).eval()
    network.load_state_dict({name: torch.from_numpy(array.copy()) for name, array in weights.items()})
    with torch.inference_mode():
        pictures = preprocess.normalize(torch.from_numpy(batch).permute(0, 3, 1, 2))
        return [output.numpy() for output in logits_and_means(network, pictures)]


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.stem}-{a.head}")
def test_it_answers_as_torch_does(architecture: Architecture) -> None:
    weights, preprocess = random_weights(architecture), Preprocess(SIZE, IMAGENET_MEAN, IMAGENET_STD)
    batch = np.stack([noise(seed, SIZE, SIZE) for seed in range(3)])
    logits, means = run_graph(build_graph(weights, architecture, preprocess), batch)
    assert (logits.shape, means.shape) == ((3,), (3, CHANNEL_MEANS))
    assert logits.dtype == means.dtype == np.float32
    assert np.ptp(logits) > 0.01
    for ours, theirs in zip((logits, means), by_torch(weights, architecture, preprocess, batch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_batches_of_any_length_and_weights_of_any_float() -> None:
    architecture, preprocess = ARCHITECTURES[0], Preprocess()
    half = {name: array.astype(np.float16) for name, array in random_weights(architecture).items()}
    for array in half.values():
        array.flags.writeable = False  # as read from a file
    graph = build_graph(half, architecture, preprocess)
    single = {name: array.astype(np.float32) for name, array in half.items()}
    batch = np.stack([noise(seed) for seed in range(4)])
    expected, _ = run_graph(build_graph(single, architecture, preprocess), batch)
    del half
    for count in (1, 4):
        np.testing.assert_allclose(run_graph(graph, batch[:count])[0], expected[:count], rtol=1e-5, atol=1e-5)


def test_folding_is_torchs_to_the_last_bit() -> None:
    torch = pytest.importorskip("torch")
    from model.network import build_network, fuse_batch_norms

    architecture = Architecture("imagenet")
    weights = random_weights(architecture)
    network = build_network(architecture).eval()
    network.load_state_dict({name: torch.from_numpy(array) for name, array in weights.items()})
    theirs = fuse_batch_norms(network).state_dict()
    ours = fold_batch_norms(weights, architecture)
    for name, array in ours.items():
        if array.ndim == 4:
            convolution = name.removesuffix(".weight")
            np.testing.assert_array_equal(array, theirs[name].numpy())
            bias = theirs[f"{convolution}.bias"].numpy()
            np.testing.assert_array_equal(ours[f"{norm_of(convolution)}.bias"], bias)
    assert len(ours) == len(theirs) == 2 * 20 + 2


def test_the_shipped_checkpoint_in_f32_and_int8() -> None:
    checkpoint = Checkpoint.load(SHIPPED)
    weights, metadata = checkpoint.weights, checkpoint.metadata
    names = ["aeroplane", "bird", "car-1", "car-2", "cat", "dog"]  # of CIFAKE, as the ranges are for
    pictures = [Image.open(ROOT / f"api/static/examples/{name}.png").convert("RGB") for name in names]
    batch = np.stack([np.asarray(picture) for picture in pictures])
    graph = build_graph(weights, metadata.architecture, metadata.preprocess)
    operations = {node.get_friendly_name(): node for node in graph.get_ops()}
    convolutions = {name for name, node in operations.items() if node.get_type_name() == "Convolution"}
    assert convolutions == {
        name.removesuffix(".weight") for name, array in weights.items() if array.ndim == 4
    }
    sums = {name for name, node in operations.items() if name.endswith(".add") and name.startswith("layer")}
    rounded = {(one.operation, one.port) for one in metadata.int8}
    # The rest of the inputs, those after the pool, hold rounded values already. A sum's first operand is what
    # the convolution before it has not rounded yet.
    after_pool = {("layer2.0.conv1", 0), ("layer2.0.downsample.0", 0)}
    assert {(name, 0) for name in convolutions} - rounded == after_pool
    assert ("maxpool", 0) in rounded
    assert not {(name, 0) for name in sums | {"avgpool", "flatten"}} & rounded
    assert {(name, 1) for name in sums} <= rounded
    exact, means = run_graph(graph, batch)
    expected = by_torch(weights, metadata.architecture, metadata.preprocess, batch)
    np.testing.assert_allclose(exact, expected[0], atol=1e-4)
    np.testing.assert_allclose(means, expected[1], atol=1e-4)
    quantize(graph, metadata.int8)
    kinds = [node.get_type_name() for node in graph.get_ops()]
    # 20 kernels, and each activation once, whatever the number of inputs that it feeds.
    assert kinds.count("FakeQuantize") == 20 + len({(one.low, one.high) for one in metadata.int8})
    logits, _ = run_graph(graph, batch)
    assert 0 < np.abs(logits - exact).mean() < 0.02 * np.ptp(exact)


def blank(architecture: Architecture, **changes: np.ndarray) -> dict[str, np.ndarray]:
    """Weights of the right shapes."""
    shapes = weight_shapes(architecture)
    return {name: np.broadcast_to(np.float32(1), shape) for name, shape in shapes.items()} | changes


def without(name: str) -> dict[str, np.ndarray]:
    weights = blank(Architecture())
    del weights[name]
    return weights


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (without("layer3.1.bn2.running_var"), r"layer3\.1\.bn2\.running_var is missing$"),
        (blank(Architecture(), **{"fc.bias": np.zeros(2)}), r"fc\.bias has the shape \(2,\), not \(1,\)$"),
        (blank(Architecture(), **{"fc.0.bias": np.zeros(2)}), r"fc\.0\.bias is not one of its weights$"),
        (blank(Architecture("imagenet")), r"conv1\.weight has the shape \(64, 3, 7, 7\)"),
        (blank(Architecture(head="mlp")), r"fc\.weight is missing; .*, and 3 more$"),
        ({}, "conv1.weight is missing; .*, and 99 more$"),
    ],
)
def test_weights_of_another_network(weights: dict[str, np.ndarray], message: str) -> None:
    with pytest.raises(CheckpointError, match=f"^the weights do not fit the network they name: .*{message}"):
        build_graph(weights, Architecture(), Preprocess())


def test_the_number_of_batches_is_ignored() -> None:
    counted = blank(Architecture(), **{"layer1.0.bn1.num_batches_tracked": np.array(7)})
    fold_batch_norms(counted, Architecture())
    with pytest.raises(CheckpointError, match="num_batches_tracked is not one of its weights"):
        fold_batch_norms(counted | {"layer9.num_batches_tracked": np.array(7)}, Architecture())


def test_neither_graph_needs_torch() -> None:
    program = "import sys; import model.engines.openvino_grad_cam; print('torch' in sys.modules)"
    ended = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert ended.stdout.strip() == "False", ended.stderr
