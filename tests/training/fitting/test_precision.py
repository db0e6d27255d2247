from collections.abc import Iterator
from dataclasses import replace
from itertools import accumulate

import pytest
import torch

from model.architecture import Architecture
from model.images.preprocess import Preprocess
from model.network import build_network
from training.fitting import precision
from training.fitting.precision import Choice, choose, step_times
from training.fitting.recipes import RECIPES

CPU = torch.device("cpu")


def never() -> dict[str, float]:
    raise AssertionError("nothing is to be measured")


@pytest.mark.parametrize(
    ("f32", "bf16", "chosen"), [(3.5, 2.3, "bf16"), (4.2, 4.9, "f32"), (3.0, 3.0, "f32")]
)
def test_auto_takes_the_faster(f32: float, bf16: float, chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    found = choose("auto", CPU, lambda: {"f32": f32, "bf16": bf16})
    assert found == Choice(chosen, {"f32": f32, "bf16": bf16})  # type: ignore[arg-type]
    assert found.sentence() == (
        f"training in {chosen}: milliseconds a picture: {f32:.2f} in f32, {bf16:.2f} in bf16"
    )


def test_nothing_is_measured_without_a_choice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(precision, "has_bf16", lambda device: False)
    assert choose("auto", CPU, never) == Choice("f32", {})
    monkeypatch.setattr(precision, "has_bf16", lambda device: True)
    assert choose("f32", CPU, never) == Choice("f32", {})
    assert choose("bf16", CPU, never) == Choice("bf16", {})
    assert choose("bf16", CPU, never).sentence() == "training in bf16"


@pytest.mark.parametrize(("asked", "device"), [("int8", "cpu"), ("bf16", "meta")])
def test_what_cannot_be_had(asked: str, device: str) -> None:
    with pytest.raises(ValueError, match="unknown precision|no autocast"):
        choose(asked, torch.device(device), never)


def test_a_measurement_is_of_both_and_leaves_everything_as_it_was() -> None:
    """By a clock that the first step of each, which nobody counts, takes 9 seconds of."""
    recipe = replace(RECIPES["quick"], preprocess=Preprocess(8), lr_cycles=((8,),), batch_size=64)
    network = build_network(Architecture(dropout=0.5))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    random = torch.get_rng_state()
    steps = [9.0, 9.0, 0.4, 0.1, 0.2, 0.3]  # in turn f32, bf16
    ticks: Iterator[float] = iter([t for end, step in zip(accumulate(steps), steps, strict=True)
                                   for t in (end - step, end)])  # fmt: skip
    found = step_times(network, recipe, CPU, 10, lambda: next(ticks))
    assert found == {"f32": pytest.approx(20), "bf16": pytest.approx(10)}  # ten pictures a batch
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in before.items())
    assert all(parameter.grad is None for parameter in network.parameters())
