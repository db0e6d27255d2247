import time

import numpy as np
import pytest

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.engines.openvino_engine import OpenVinoEngine, select_precision
from model.images.preprocess import Preprocess
from model.metadata import ActivationRange, CheckpointError, CheckpointMetadata
from tests.pictures import noise

PICTURES = np.stack([noise(seed) for seed in range(5)])
RANGES = (ActivationRange("layer1.0.conv1", 0, 0.0, 4.0),)


def test_an_answer_is_the_callers_to_keep(random_checkpoint: Checkpoint) -> None:
    engine = OpenVinoEngine(random_checkpoint, "f32")
    (z, means), heat = engine.forward(PICTURES), engine.explain(PICTURES, np.ones(5, np.float32))
    kept = [z.copy(), means.copy(), heat.copy()]
    engine.forward(PICTURES[:1], use_all_cores=False)
    engine.forward(PICTURES[::-1])
    engine.explain(PICTURES[::-1], np.ones(5, np.float32))
    for one, other in zip([z, means, heat], kept, strict=True):
        np.testing.assert_array_equal(one, other)
    assert (z.dtype, means.dtype, heat.dtype) == (np.float64, np.float32, np.float32)


def test_all_cores_and_a_share_of_them_predict_alike(
    random_checkpoint: Checkpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.engines.openvino_engine.available_cpus", lambda: 2)
    monkeypatch.setattr("model.engines.openvino_engine.engine_threads", lambda: 1)
    engine = OpenVinoEngine(random_checkpoint, "f32")
    expected = engine.forward(PICTURES, True)
    deadline = time.monotonic() + 30
    while engine._shared is engine._all_cores:  # until the second graph is compiled
        np.testing.assert_array_equal(engine.forward(PICTURES, False)[0], expected[0])
        assert time.monotonic() < deadline
        time.sleep(0.01)
    for one, other in zip(engine.forward(PICTURES, False), expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_int8_is_near_and_not_the_same(random_checkpoint: Checkpoint) -> None:
    expected = OpenVinoEngine(random_checkpoint, "f32").forward(PICTURES)[0]
    z = OpenVinoEngine(random_checkpoint.with_metadata(int8=RANGES), "int8").forward(PICTURES)[0]
    assert 0 < np.abs(z - expected).max() < 0.2 * np.abs(expected).max()


SAME = {"split": "validation", "pictures": 4000, "points_lost": 0.1, "points_lost_interval": [-0.09, 0.29]}
WORSE = SAME | {"points_lost_interval": [-0.1, 0.3]}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({}, "f32"),
        ({"int8": SAME}, "int8"),
        ({"int8": WORSE}, "f32"),
        ({"int8": WORSE, "bf16": SAME}, "f32"),  # on a CPU bf16 is not always a gain
        ({"int8": SAME | {"pictures": 999}}, "f32"),
        ({"int8": {"pictures": 10_000, "points_lost": 0.0}}, "f32"),  # of pictures that were trained on
        ({"int8": {"split": "validation", "pictures": 4000, "points_lost": 0.0}}, "f32"),
    ],
)
def test_auto_takes_int8_where_the_record_allows_it(record: dict, expected: str) -> None:
    metadata = CheckpointMetadata(Architecture(), Preprocess(), metrics={"precisions": record})
    assert select_precision("auto", metadata, {"f32", "bf16", "int8"}) == expected
    assert select_precision("auto", metadata, {"f32"}) == "f32"


def test_int8_without_ranges(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(ValueError, match="int8 is not available here"):
        OpenVinoEngine(random_checkpoint, "int8")


def test_ranges_of_another_graph(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="there is no missing"):
        OpenVinoEngine(
            random_checkpoint.with_metadata(int8=(ActivationRange("missing", 0, 0.0, 1.0),)), "int8"
        )


def test_heat_maps_of_one_layer_after_another(random_checkpoint: Checkpoint) -> None:
    engine, sign = OpenVinoEngine(random_checkpoint, "f32"), np.ones(5, np.float32)
    first = engine.explain(PICTURES, sign, "layer1")
    assert np.abs(engine.explain(PICTURES, sign, "layer3") - first).max() > 0.1
    np.testing.assert_array_equal(engine.explain(PICTURES, sign, "layer1"), first)
    with pytest.raises(ValueError, match="5 pictures need as many signs"):
        engine.explain(PICTURES, sign[:1])
    with pytest.raises(ValueError, match="no layer 'fc'"):
        engine.explain(PICTURES, sign, "fc")


def test_weights_of_another_network(random_checkpoint: Checkpoint) -> None:
    with pytest.raises(CheckpointError, match="do not fit"):
        OpenVinoEngine(random_checkpoint.with_metadata(architecture=Architecture("imagenet")), "f32")
