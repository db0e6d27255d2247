"""Engines of networks by timm agree."""

from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from typing import Any

import numpy as np
import pytest

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.engines import conversion
from model.engines.conversion import graph_of, to_onnx
from model.engines.openvino_engine import OpenVinoEngine
from model.engines.torch_engine import TorchEngine
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from tests.networks import BY_TIMM, needs_timm, random_backbone
from tests.pictures import noise

PICTURES = np.stack([noise(seed) for seed in range(5)])
SIGNS = np.array([1, -1, 1, -1, 1], np.float32)


class Engines:
    """Both engines of a backbone, and the ONNX model that OpenVINO read."""

    def __init__(self, backbone: str) -> None:
        checkpoint = random_backbone(backbone)
        self.checkpoint = checkpoint
        self.torch = TorchEngine(checkpoint, "cpu")
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(conversion, "to_onnx", self._remember)
            self.openvino = OpenVinoEngine(checkpoint)

    def _remember(self, checkpoint: Checkpoint) -> bytes:
        self.onnx = to_onnx(checkpoint)
        return self.onnx


@pytest.fixture(scope="module", params=BY_TIMM)
def engines(request: pytest.FixtureRequest) -> Engines:
    return Engines(request.param)


@needs_timm
def test_all_answer_alike(engines: Engines) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    session = onnxruntime.InferenceSession(engines.onnx, providers=["CPUExecutionProvider"])
    z, features = expected = engines.torch.forward(PICTURES)
    assert features.shape == (5, engines.checkpoint.metadata.architecture.ood_features)
    assert z.std() > 1e-3
    for batch in (PICTURES, PICTURES[:1], PICTURES[1:3]):
        first = 1 if len(batch) == 2 else 0
        for found in (
            engines.openvino.forward(batch),
            engines.openvino.forward(batch, use_all_cores=False),
            session.run(["logit", "means"], {"pictures": batch}),
        ):
            for one, other in zip(found, expected, strict=True):
                np.testing.assert_allclose(one, other[first : first + len(batch)], atol=2e-4, rtol=2e-4)


@needs_timm
def test_heat_maps_are_pytorchs(engines: Engines) -> None:
    found = engines.openvino.explain(PICTURES, SIGNS, "layer3")
    np.testing.assert_allclose(found, engines.torch.explain(PICTURES, SIGNS, "layer3"), atol=1e-5)
    with pytest.raises(ValueError, match="5 pictures need as many signs"):
        engines.openvino.explain(PICTURES, SIGNS[:2], "layer3")


@needs_timm
def test_precisions(engines: Engines) -> None:
    assert engines.openvino.info == ("OpenVINO", "f32", "cpu")
    with pytest.raises(ValueError, match="int8 is not available here"):
        OpenVinoEngine(engines.checkpoint, "int8")
    bf16 = TorchEngine(engines.checkpoint, "cpu", "bf16").forward(PICTURES)[0]
    z = engines.torch.forward(PICTURES)[0]
    assert 0 < np.abs(bf16 - z).max() < 0.2 * max(1, np.abs(z).max())


@pytest.mark.parametrize("missing", [{"torch"}, {"onnx"}, {"torch", "onnx"}])
def test_without_a_package_one_sentence_says_what_to_install(
    missing: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def spec(name: str, *arguments: Any) -> ModuleSpec | None:
        return None if name in missing else find_spec(name, *arguments)

    monkeypatch.setattr(conversion, "find_spec", spec)
    metadata = CheckpointMetadata(Architecture().with_backbone("resnet50"), Preprocess())
    with pytest.raises(
        ValueError, match=r"^the backbone resnet50 needs .* not installed: pip install"
    ) as told:
        graph_of(Checkpoint(metadata, {}))
    assert {name for name in ("torch", "onnx") if name in str(told.value).split(",")[0]} == missing


def test_resnet18_is_not_converted(random_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "to_onnx", None)
    assert "layer1.0.conv1" in {node.get_friendly_name() for node in graph_of(random_checkpoint).get_ops()}
