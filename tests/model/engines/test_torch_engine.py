import numpy as np
import pytest
import torch

from model.checkpoint import Checkpoint
from model.engines.torch_engine import TorchEngine
from tests.pictures import noise
from tests.stand_in_device import StandInDevice

PICTURES = np.stack([noise(seed) for seed in range(3)])
GOOD = {"split": "validation", "pictures": 4000, "points_lost": 0.0, "points_lost_interval": [0.0, 0.0]}


def test_a_device_without_float64(random_checkpoint: Checkpoint) -> None:
    """As Apple's, which `auto` picks."""
    cpu = TorchEngine(random_checkpoint, "cpu")
    with StandInDevice():
        stand_in = TorchEngine(random_checkpoint, "meta", "auto")
        assert str(stand_in.info) == "PyTorch f32 on meta"
        found = [*stand_in.forward(PICTURES), stand_in.explain(PICTURES, np.ones(3))]
    for one, other in zip(found, [*cpu.forward(PICTURES), cpu.explain(PICTURES, np.ones(3))], strict=True):
        assert one.dtype == other.dtype
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(("device", "precision"), [("cpu", "f32"), ("cuda", "bf16")])
def test_auto_is_bf16_on_a_gpu_only(
    device: str, precision: str, random_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    random_checkpoint.metadata.metrics["precisions"] = {"bf16": GOOD}
    monkeypatch.setattr("model.engines.torch_engine.has_bf16", lambda device: True)
    monkeypatch.setattr("model.engines.torch_engine.pick_device", lambda name: torch.device(name))
    monkeypatch.setattr("model.engines.torch_engine.autocast", lambda device, precision: None)
    monkeypatch.setattr(torch.nn.Module, "to", lambda network, *target, **how: network)
    assert TorchEngine(random_checkpoint, device, "auto").info == ("PyTorch", precision, device)


def test_bf16_where_there_is_none(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="no autocast"):
        TorchEngine(random_checkpoint, "meta", "bf16")
