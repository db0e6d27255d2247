from collections.abc import Callable
from dataclasses import replace
from itertools import accumulate

import pytest
import torch

from model.architecture import Architecture
from model.images.preprocess import Preprocess
from model.network import build_network
from training.fitting import precision
from training.fitting.precision import PrecisionChoice, choose_precision, step_times
from training.fitting.recipes import RECIPES

CPU = torch.device("cpu")


def never() -> dict[str, float]:
    raise AssertionError("measure must not be called")


@pytest.mark.parametrize(
    ("f32", "bf16", "chosen"), [(3.5, 2.3, "bf16"), (4.2, 4.9, "f32"), (3.0, 3.0, "f32")]
)
def test_auto_chooses_the_faster(
    f32: float, bf16: float, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_autocast", lambda device: True)
    found = choose_precision("auto", CPU, lambda: {"f32": f32, "bf16": bf16})
    assert found == PrecisionChoice(chosen, {"f32": f32, "bf16": bf16})  # type: ignore[arg-type]
    assert str(found) == (
        f"training in {chosen}: milliseconds per image: {f32:.2f} in f32, {bf16:.2f} in bf16"
    )


def test_nothing_is_measured_without_alternatives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_autocast", lambda device: False)
    assert choose_precision("auto", CPU, never) == PrecisionChoice("f32", {})
    monkeypatch.setattr(precision, "has_autocast", lambda device: True)
    assert choose_precision("f32", CPU, never) == PrecisionChoice("f32", {})
    assert choose_precision("bf16", CPU, never) == PrecisionChoice("bf16", {})
    assert str(choose_precision("bf16", CPU, never)) == "training in bf16"


@pytest.mark.parametrize(("requested", "device"), [("int8", "cpu"), ("bf16", "meta")])
def test_unavailable_precisions_are_refused(requested: str, device: str) -> None:
    with pytest.raises(ValueError, match="unknown precision|no autocast"):
        choose_precision(requested, torch.device(device), never)


def ticking(steps: list[float]) -> Callable[[], float]:
    """A clock by which steps take these seconds."""
    ticks = [t for end, step in zip(accumulate(steps), steps, strict=True) for t in (end - step, end)]
    return iter(ticks).__next__


QUICK = replace(RECIPES["quick"], preprocess=Preprocess(8), lr_cycles=((8,),), batch_size=64)


def test_step_times() -> None:
    """The time of the warm-up step, 9 s, does not count."""
    network = build_network(Architecture(dropout=0.5))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    clock = ticking([9.0, 9.0, 0.4, 0.1, 0.2, 0.3])  # f32 and bf16 alternate
    found = step_times(network, QUICK, CPU, 10, clock)
    assert found == {"f32": pytest.approx(20), "bf16": pytest.approx(10)}  # of ten images
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([0.1, 0.2], {"f32": 10, "bf16": 20}),
        ([9.0, 9.0, 0.1, 0.2], {"f32": 10, "bf16": 20}),
    ],
)
def test_the_measurement_ends_once_bf16_is_much_slower(
    steps: list[float], expected: dict[str, float]
) -> None:
    found = step_times(build_network(Architecture()), QUICK, CPU, 10, ticking(steps))
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(("count", "sizes"), [(10, [10, 10, 10]), (100, [32, 64, 64])])
def test_the_warm_up_batch_is_small(count: int, sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[int] = []

    def logits(network: torch.nn.Module, images: torch.Tensor) -> torch.Tensor:
        found.append(len(images))
        return next(network.parameters()).sum()

    monkeypatch.setattr(precision, "WARMUP_PIXELS", 32 * 8 * 8)
    monkeypatch.setattr(precision, "logits", logits)
    step_times(build_network(Architecture()), QUICK, CPU, count, ticking([1.0] * 6))
    assert found == [size for size in sizes for _ in ("f32", "bf16")]
