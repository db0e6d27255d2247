from pathlib import Path

import numpy as np
import pytest
import torch

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.engines.engine import Engine, open_engine
from model.engines.openvino_engine import OpenVinoEngine
from model.engines.torch_engine import TorchEngine
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.network import build_network, logits_and_means
from model.tensors import to_arrays
from tests.pictures import noise

PICTURES = np.stack([noise(seed) for seed in range(5)])


@pytest.fixture(scope="module")
def checkpoint() -> Checkpoint:
    """Weights nobody trained."""
    torch.manual_seed(0)
    weights = build_network(Architecture()).state_dict()
    for tensor in weights.values():
        if tensor.ndim == 1 and tensor.is_floating_point():  # batch norms that have seen something
            tensor += torch.rand(tensor.shape) / 2
    return Checkpoint(CheckpointMetadata(Architecture(), Preprocess()), to_arrays(weights))


@pytest.fixture(scope="module")
def model(checkpoint: Checkpoint, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.pth"
    checkpoint.save(path)
    return path


@pytest.fixture(scope="module")
def reference(model: Path) -> TorchEngine:
    return TorchEngine(Checkpoint.load(model), "cpu")


def assert_close(one: Engine, other: Engine, by: float) -> None:
    for ours, theirs in zip(one.forward(PICTURES), other.forward(PICTURES), strict=True):
        assert ours.shape == theirs.shape
        assert ours.dtype == theirs.dtype
        assert np.abs(ours - theirs).max() <= by


def test_folding_changes_nothing(model: Path, reference: TorchEngine) -> None:
    checkpoint = Checkpoint.load(model)
    batch = torch.from_numpy(PICTURES).permute(0, 3, 1, 2)
    with torch.inference_mode():
        z, means = logits_and_means(checkpoint.network(), checkpoint.metadata.preprocess.normalize(batch))
    np.testing.assert_allclose(reference.forward(PICTURES)[0], z, atol=1e-5)
    np.testing.assert_allclose(reference.forward(PICTURES)[1], means, atol=1e-5)


def test_openvino_answers_as_torch_does(model: Path, reference: TorchEngine) -> None:
    engine = OpenVinoEngine(Checkpoint.load(model), "f32")
    assert_close(engine, reference, 1e-4)
    sign = np.array([1, -1, 1, -1, 1], np.float32)
    heat = engine.explain(PICTURES, sign)
    np.testing.assert_allclose(heat, reference.explain(PICTURES, sign), atol=1e-5)
    assert np.abs(heat - engine.explain(PICTURES, -sign)).max() > 0.1


def test_bf16_is_near(model: Path, reference: TorchEngine) -> None:
    engine = TorchEngine(Checkpoint.load(model), "cpu", "bf16")
    expected = reference.forward(PICTURES)[0]
    assert np.abs(engine.forward(PICTURES)[0] - expected).max() < 0.05 * np.abs(expected).max()


def test_auto_is_openvino_on_a_cpu(model: Path) -> None:
    metadata, engine = open_engine(model, "cpu")
    assert metadata == Checkpoint.load(model).metadata
    assert str(engine.info) == "OpenVINO f32 on cpu"


def test_torch_when_asked(model: Path) -> None:
    metadata, engine = open_engine(model, "cpu", "torch", "f32")
    assert metadata == Checkpoint.load(model).metadata
    assert str(engine.info) == "PyTorch f32 on cpu"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cpu", "abacus"), "none of auto, torch, openvino"),
        (("cpu", "auto", "f64"), "none of auto, f32, bf16, int8"),
        (("cuda", "openvino"), "on the CPU"),
        (("cpu", "torch", "int8"), "int8 is OpenVINO's"),
    ],
)
def test_what_cannot_be_had(arguments: tuple[str, ...], message: str, model: Path) -> None:
    with pytest.raises(ValueError, match=message):
        open_engine(model, *arguments)


def test_torch_where_there_is_none(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.engines.engine.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="'torch' on device 'cpu' needs PyTorch, which is not installed"):
        open_engine(model, "cpu", "torch")
    with pytest.raises(ValueError, match="'auto' on device 'cuda' needs PyTorch"):
        open_engine(model, "cuda")
