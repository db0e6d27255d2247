import pytest
import torch

from model.engines.hardware import autocast, has_bf16, pick_device


def test_auto_prefers_cuda_then_mps_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    there = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: there["mps"])
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)  # no such device is needed to choose it
    chosen = [pick_device().type]
    for gone in ("cuda", "mps"):
        there[gone] = False
        chosen.append(pick_device().type)
    assert chosen == ["cuda", "mps", "cpu"]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_a_device_that_is_not_there(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be used here"):
        pick_device(name)


def test_no_bf16_on_other_devices() -> None:
    assert has_bf16(torch.device("mps")) is False


def test_autocast() -> None:
    layer, batch = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(torch.device("cpu"), precision):
            assert layer(batch).dtype is dtype
    with autocast(torch.device("meta"), "f32"):  # not even to switch it off does torch know it there
        assert layer(batch).dtype is torch.float32
    with pytest.raises(ValueError, match="no autocast"):
        autocast(torch.device("meta"), "bf16")
