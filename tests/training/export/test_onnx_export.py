import json
import sys
import tomllib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from model import ROOT, SHIPPED
from model.architecture import Architecture
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.metadata import CheckpointError
from model.ood import MahalanobisDetector, log_features
from model.predictor import Predictor
from tests.networks import ARCHITECTURES, SIZE, needs_timm, random_backbone, random_weights
from tests.training.export.onnx_files import answers, batch, by_torch, content_of, made, with_detector
from training.export import onnx_export as export
from training.export import onnx_graph
from training.export.onnx_export import ExportError, build_model, check, check_pictures, describe, export_onnx

CALIBRATION = Calibration(temperature=1.4, power=1.7, shift=0.5)


@pytest.fixture(autouse=True)
def _few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHECKED", 8)


@pytest.mark.parametrize("architecture", ARCHITECTURES, ids=lambda a: f"{a.stem}-{a.head}")
def test_it_answers_as_torch_does(onnxruntime: Any, architecture: Architecture) -> None:
    checkpoint = with_detector(made(architecture, calibration=CALIBRATION))
    detector = checkpoint.metadata.ood_detector
    assert detector is not None
    found = answers(onnxruntime, content_of(checkpoint), batch())
    assert {name: (value.dtype.name, value.shape) for name, value in found.items()} == {
        "probability": ("float32", (6,)),
        "logit": ("float32", (6,)),
        "in_domain": ("bool", (6,)),
    }
    z, (means, _) = by_torch(architecture)
    assert np.ptp(z) > 0.01
    np.testing.assert_allclose(found["logit"], z, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["probability"], checkpoint.metadata.probability(z), atol=1e-4)
    np.testing.assert_array_equal(found["in_domain"], detector.contains(means))
    assert found["in_domain"].sum() == 3


@pytest.mark.parametrize(
    ("calibration", "positive_class"),
    [
        (Calibration(), "FAKE"),
        (CALIBRATION, "REAL"),
        (CALIBRATION, "FAKE"),
        (Calibration(temperature=0.7, power=0.5, shift=-2), "FAKE"),
    ],
)
def test_calibration_and_what_label_1_is(
    onnxruntime: Any, calibration: Calibration, positive_class: str
) -> None:
    checkpoint = made(calibration=calibration, positive_class=positive_class)
    found = answers(onnxruntime, content_of(checkpoint), batch())
    assert found.keys() == {"probability", "logit"}
    z, _ = by_torch(checkpoint.metadata.architecture)
    np.testing.assert_allclose(found["logit"], z, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found["probability"], checkpoint.metadata.probability(z), atol=1e-4)


def test_a_file_that_answers_as_the_predictor(onnxruntime: Any, tmp_path: Path) -> None:
    checkpoint = with_detector(made(calibration=CALIBRATION))
    path = tmp_path / "made" / "model.onnx"
    assert export_onnx(checkpoint, path) == path
    assert list(path.parent.iterdir()) == [path]
    assert path.read_bytes() == build_model(checkpoint).SerializeToString(deterministic=True)
    found = answers(onnxruntime, path.read_bytes(), batch())
    expected = Predictor.from_checkpoint(checkpoint, "cpu").predict(batch())
    np.testing.assert_allclose(found["probability"], expected.predictions, atol=1e-4)
    np.testing.assert_array_equal(found["in_domain"], expected.in_domain)


def test_a_batch_of_any_length(onnx: Any, onnxruntime: Any) -> None:
    content = content_of(with_detector(made()))
    together = answers(onnxruntime, content, batch())
    for count in (1, 5):
        fewer = answers(onnxruntime, content, batch()[:count])
        for name, value in fewer.items():
            np.testing.assert_allclose(value, together[name][:count], rtol=1e-5, atol=1e-5)
    graph = onnx.load_from_string(content).graph
    taken = graph.input[0].type.tensor_type
    assert taken.elem_type == onnx.TensorProto.UINT8
    assert [size.dim_param or size.dim_value for size in taken.shape.dim] == ["batch", SIZE, SIZE, 3]
    given = [[size.dim_param for size in output.type.tensor_type.shape.dim] for output in graph.output]
    assert given == [["batch"]] * 3


def test_what_the_file_says_of_itself(onnx: Any) -> None:
    checkpoint = with_detector(made(calibration=CALIBRATION, positive_class="FAKE", digest="ab12"))
    model = build_model(checkpoint)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert (model.producer_name, model.producer_version) == (project["name"], project["version"])
    assert [(one.domain, one.version) for one in model.opset_import] == [("", 17)]
    assert model.ir_version == onnx.helper.find_min_ir_version_for(model.opset_import) == 8
    assert {one.key: one.value for one in model.metadata_props} == describe(checkpoint.metadata)
    for told in (
        f"uint8 [batch, {SIZE}, {SIZE}, 3], which is NHWC, RGB, each value from 0 to 255",
        f"Image.resize(({SIZE}, {SIZE}), Image.Resampling.BILINEAR)",
        "sign(z) * |z| ** 1.7 / 1.4 + 0.5, whose sigmoid is P(FAKE)",
        "Output `in_domain`: bool [batch]",
    ):
        assert told in model.doc_string
    assert "in_domain" not in build_model(checkpoint.with_metadata(ood_detector=None)).doc_string


def test_the_shipped_checkpoints_metadata() -> None:
    metadata = Checkpoint.load(SHIPPED).metadata
    props = describe(metadata)
    words = {
        "digest": metadata.digest,
        "recipe": "cifake",
        "prediction": "P(REAL)",
        "positive_class": "REAL",
        "layout": "NHWC",
        "model_license": "MIT",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.NominalPixelRange": "NominalRange_0_255",
    }
    assert props.items() >= words.items()
    assert json.loads(props["labels"]) == {"1": "REAL", "0": "FAKE"}
    assert Calibration(**json.loads(props["calibration"])) == metadata.calibration
    read = [json.loads(props[name]) for name in ("size", "mean", "std", "threshold")]
    assert read == [32, [0.5] * 3, [0.5] * 3, 0.5]
    assert json.loads(props["validation"])["accuracy"] == metadata.metrics["validation"]["accuracy"]


def test_what_a_checkpoint_does_not_say_is_left_out() -> None:
    props = describe(made().metadata)
    assert not props.keys() & {"digest", "recipe", "validation", "model_license"}
    assert all(isinstance(value, str) and value for value in props.values())


def test_pictures_to_check_by(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(export, "CHECKED", 64)
    pictures = check_pictures(32)
    assert (pictures.shape, pictures.dtype) == ((64, 32, 32, 3), np.uint8)
    assert len({picture.tobytes() for picture in pictures}) == 64
    np.testing.assert_array_equal(pictures, check_pictures(32))
    assert pictures.min() == 0
    assert pictures.max() == 255


def test_another_answer_leaves_no_file(
    onnxruntime: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, kept = made(), tmp_path / "kept.onnx"
    kept.write_bytes(b"what was there")
    right = onnx_graph.fold_batch_norms

    def wrong(*arguments: Any) -> dict[str, np.ndarray]:
        folded = right(*arguments)
        return folded | {"fc.bias": folded["fc.bias"] + np.float32(0.01)}

    monkeypatch.setattr(onnx_graph, "fold_batch_norms", wrong)
    told = "onnxruntime answers otherwise than the checkpoint for 8 of 8 pictures in batches of 1: "
    with pytest.raises(ExportError, match=f"^{told}.* is off by 0.*; nothing is written$"):
        export_onnx(checkpoint, kept)
    assert kept.read_bytes() == b"what was there"
    assert list(tmp_path.iterdir()) == [kept]


def test_another_domain_and_no_number_are_found_too(onnxruntime: Any) -> None:
    checkpoint = with_detector(made())
    detector = checkpoint.metadata.ood_detector
    assert detector is not None
    content = content_of(checkpoint.with_metadata(ood_detector=replace(detector, threshold=0.0)))
    wide = checkpoint.with_metadata(ood_detector=replace(detector, threshold=1e9))
    with pytest.raises(ExportError, match="for 8 of 8 pictures in batches of 1: in_domain is off by 1;"):
        check(content, wide)
    without = checkpoint.with_metadata(ood_detector=None)
    weights = without.weights | {"fc.bias": np.full(1, np.nan, np.float32)}
    with pytest.raises(ExportError, match="probability is off by nan"):
        check(content_of(replace(without, weights=weights)), without)


@pytest.mark.parametrize("package", ["onnx", "onnxruntime"])
def test_a_missing_package_is_named(package: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = {"onnx": "onnxruntime", "onnxruntime": "onnx"}[package]
    pytest.importorskip(other)
    monkeypatch.setitem(sys.modules, package, None)
    told = f"an export is written by onnx and checked by onnxruntime: pip install {package}"
    with pytest.raises(ExportError, match=f"^{told}$"):
        export_onnx(made(), tmp_path / "model.onnx")
    assert not list(tmp_path.iterdir())


def test_weights_of_another_network(onnx: Any, tmp_path: Path) -> None:
    checkpoint = replace(made(), weights=random_weights(Architecture(head="mlp")))
    with pytest.raises(CheckpointError, match="the weights do not fit the network they name"):
        export_onnx(checkpoint, tmp_path / "model.onnx")


@needs_timm
def test_a_network_by_timm(onnxruntime: Any, tmp_path: Path) -> None:
    checkpoint = random_backbone("vit_tiny").with_metadata(calibration=CALIBRATION, positive_class="FAKE")
    pictures = check_pictures(32)
    z, features = Predictor.from_checkpoint(checkpoint, "cpu").forward(pictures)
    detectors = []
    for values, log in zip(features, (False, True), strict=True):
        mean = log_features(values).mean(0) if log else values.mean(0)
        detector = MahalanobisDetector(mean, np.eye(len(mean)), 0.0, log)
        nearer, farther = np.sort(detector.distance(values))[-5:-3]
        detectors.append(replace(detector, threshold=float(nearer + farther) / 2))
    checkpoint = checkpoint.with_metadata(ood_detector=detectors[0], image_detector=detectors[1])
    inside = checkpoint.metadata.contains(features)
    assert inside is not None
    content = export_onnx(checkpoint, tmp_path / "x.onnx").read_bytes()
    found = answers(onnxruntime, content, pictures)
    np.testing.assert_allclose(found["probability"], checkpoint.metadata.probability(z), atol=1e-4)
    assert found["in_domain"].tolist() == inside.tolist()
    assert 0 < inside.sum() < len(pictures)
    assert str(ROOT).encode() not in content
