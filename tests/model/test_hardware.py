import pytest
import torch

from model.hardware import fast_bf16, pick_device


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


def test_no_autocast_on_other_devices() -> None:
    assert fast_bf16(torch.device("mps")) is False
