from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from model.engines.hardware import autocast, has_autocast, has_bf16, pick_device


def test_auto_prefers_cuda_then_mps_then_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    available = {"cuda": True, "mps": True}
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available["cuda"])
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: available["mps"])
    monkeypatch.setattr(torch, "empty", lambda *size, device: None)  # works without the device
    chosen = [pick_device().type]
    for name in ("cuda", "mps"):
        available[name] = False
        chosen.append(pick_device().type)
    assert chosen == ["cuda", "mps", "cpu"]


@pytest.mark.parametrize("name", ["gpu", "cuda:99", ""])
def test_unavailable_devices_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be used here"):
        pick_device(name)


@pytest.mark.parametrize("name", ["cpu", "mps", "meta"])
def test_has_bf16_is_for_cuda(name: str) -> None:
    assert has_bf16(torch.device(name)) is False


@pytest.mark.parametrize("supported", [True, False])
def test_has_bf16_on_cuda(supported: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """By stand-ins for torch.cuda: emulation does not count, and the given device is queried."""
    current: list[torch.device] = []

    @contextmanager
    def select(device: torch.device) -> Iterator[None]:
        current.append(device)
        yield
        current.pop()

    def is_bf16_supported(including_emulation: bool = True) -> bool:
        return including_emulation or (supported and current == [torch.device("cuda:1")])

    monkeypatch.setattr(torch.cuda, "device", select)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", is_bf16_supported)
    assert has_bf16(torch.device("cuda:1")) is supported


def test_has_autocast() -> None:
    assert has_autocast(torch.device("cpu"))
    assert not has_autocast(torch.device("meta"))


def test_autocast() -> None:
    layer, batch = torch.nn.Linear(2, 2), torch.ones(1, 2)
    for precision, dtype in (("f32", torch.float32), ("bf16", torch.bfloat16)):
        with autocast(torch.device("cpu"), precision):
            assert layer(batch).dtype is dtype
    with autocast(torch.device("meta"), "f32"):  # for which torch.autocast(enabled=False) raises
        assert layer(batch).dtype is torch.float32
    with pytest.raises(ValueError, match="no autocast"):
        autocast(torch.device("meta"), "bf16")
