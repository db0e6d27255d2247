"""A checkpoint as one ONNX file, for those who run neither PyTorch nor OpenVINO.

The graph of ResNet18 is that of `model.engines.openvino_graph`, by the same names, and that of another
backbone is PyTorch's. After it comes what `model.predictor` makes of a logit and of channel means. What the
file takes and answers stands in it: in its `doc_string` and its `metadata_props`, of whose keys
`model_license` and `Image.*` are the standard's (github.com/onnx/onnx, docs/IR.md and docs/MetadataProps.md).
"""

import json
import tomllib
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from model import ROOT, SHIPPED
from model.checkpoint import Checkpoint
from model.engines.conversion import OPSET
from model.engines.cpus import available_cpus
from model.files import atomic_write
from model.formats import FORMAT
from model.metadata import THRESHOLD, CheckpointMetadata, digest_of
from model.predictor import Predictor
from training.export.onnx_graph import build_graph

if TYPE_CHECKING:
    from onnx import ModelProto

IR_VERSION = 8  # of ONNX 1.12, as the opset is
TOLERANCE = 1e-4
CHECKED = 64  # pictures that a file is checked by

ABOUT = """\
Is a small picture a photograph (REAL) or generated (FAKE)?

Input `pictures`: uint8 [batch, {size}, {size}, 3], which is NHWC, RGB, each value from 0 to 255 as Pillow and
NumPy have them. The batch has any length. Do not scale or normalise: the graph computes
(value / 255 - mean) / std itself. Bring a picture of another size to {size}x{size} first, without keeping its
aspect ratio, by a bilinear filter that averages where it reduces, as Pillow has it:
Image.resize(({size}, {size}), Image.Resampling.BILINEAR). Of an enlarged {size}x{size} picture the project's
service first undoes the enlargement; nothing here does, and the answer for it may differ.

Output `probability`: float32 [batch], calibrated P(REAL) in [0, 1], the `prediction` of the project's
service. A picture is called REAL where it is at least {threshold}.
Output `logit`: float32 [batch], the logit z of {positive}, not calibrated. Calibrated it is
sign(z) * |z| ** {power:g} / {temperature:g} + {shift:g}, whose sigmoid is P({positive}).
"""
ABOUT_DOMAIN = """\
Output `in_domain`: bool [batch], whether the picture is like those trained on. No accuracy that was measured
holds for others.
"""


class ExportError(ValueError):
    """A package is missing, or the graph does not answer as the checkpoint does."""


def export_onnx(checkpoint: Checkpoint, out: Path) -> Path:
    """Write a checkpoint as an ONNX file, in float32 (some 45 MB of a ResNet18), and return its path.

    Input `pictures`: uint8 of shape (batch, size, size, 3), RGB from 0 to 255. Outputs: `probability`,
    float32 of shape (batch,), calibrated P(REAL) in [0, 1]; `logit`, float32 of shape (batch,), of label 1
    and not calibrated; of a checkpoint with a detector `in_domain`, bool of shape (batch,).

    The same checkpoint gives the same bytes. They are written, atomic_write, once onnxruntime has answered by
    them what torch does: see `check`. Raises ExportError where it has not or a package is missing,
    BackboneError where that is timm, CheckpointError where the weights do not fit, and OSError.
    """
    missing = " ".join(name for name in ("onnx", "onnxruntime") if find_spec(name) is None)
    if missing:
        raise ExportError(f"an export is written by onnx and checked by onnxruntime: pip install {missing}")
    content = build_model(checkpoint).SerializeToString(deterministic=True)
    check(content, checkpoint)
    with atomic_write(out) as file:
        file.write(content)
    return out


def build_model(checkpoint: Checkpoint) -> "ModelProto":
    """The ONNX model of `export_onnx`. Raises CheckpointError where the weights do not fit."""
    from onnx import TensorProto, helper

    metadata, project = checkpoint.metadata, _project()
    size, detector = metadata.preprocess.size, metadata.ood_detector
    graph = build_graph(checkpoint)
    outputs = {"probability": TensorProto.FLOAT, "logit": TensorProto.FLOAT}
    if detector:
        outputs["in_domain"] = TensorProto.BOOL
    about = ABOUT + ABOUT_DOMAIN if detector else ABOUT
    values = {"size": size, "threshold": THRESHOLD, "positive": metadata.positive_class}
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "network",
            [helper.make_tensor_value_info("pictures", TensorProto.UINT8, ["batch", size, size, 3])],
            [helper.make_tensor_value_info(name, kind, ["batch"]) for name, kind in outputs.items()],
            graph.constants,
        ),
        opset_imports=[helper.make_opsetid("", OPSET)],
        ir_version=IR_VERSION,
        producer_name=project["name"],
        producer_version=project["version"],
        doc_string=about.format(**values, **asdict(metadata.calibration)),
    )
    helper.set_model_props(model, describe(metadata))
    return model


def describe(metadata: CheckpointMetadata) -> dict[str, str]:
    """The `metadata_props` of a file: words, and JSON. What the checkpoint does not say is left out."""
    preprocess, validation = metadata.preprocess, metadata.metrics.get("validation", {})
    shipped = SHIPPED.is_file() and metadata.digest == digest_of(SHIPPED)
    told = ("pictures", "accuracy", "accuracy_interval")
    values = {
        "digest": metadata.digest,
        "format": FORMAT,
        "recipe": metadata.recipe.get("name"),
        "labels": {"1": "REAL", "0": "FAKE"},
        "prediction": "P(REAL)",
        "threshold": THRESHOLD,
        "positive_class": metadata.positive_class,
        "calibration": asdict(metadata.calibration),
        "layout": "NHWC",
        "size": preprocess.size,
        "mean": preprocess.mean,
        "std": preprocess.std,
        "normalised_by": "the graph",
        "Image.BitmapPixelFormat": "Rgb8",
        "Image.ColorSpaceGamma": "SRGB",
        "Image.NominalPixelRange": "NominalRange_0_255",
        "validation": {name: validation[name] for name in told if name in validation},
        # Whoever trained another checkpoint chooses its licence.
        "model_license": shipped and _project()["license"],
    }
    said = {name: value for name, value in values.items() if value}
    return {name: value if isinstance(value, str) else json.dumps(value) for name, value in said.items()}


def check(content: bytes, checkpoint: Checkpoint) -> None:
    """Raise ExportError unless onnxruntime answers by a file's bytes as torch does by the checkpoint.

    Both run on the CPU in float32, over `check_pictures`, onnxruntime one by one and all at once.
    Probabilities may differ by TOLERANCE, logits by as much and that part of themselves, and `in_domain` only
    where a distance is the threshold but for rounding.
    """
    import onnx
    import onnxruntime

    onnx.checker.check_model(content, full_check=True)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = available_cpus()
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    metadata = checkpoint.metadata
    pictures = check_pictures(metadata.preprocess.size)
    z, features = Predictor.from_checkpoint(checkpoint, "cpu").forward(pictures)
    expected = {"probability": metadata.probability(z), "logit": z}
    allowed = {"probability": TOLERANCE, "logit": TOLERANCE * (1 + np.abs(z))}
    inside = metadata.contains(features)
    if inside is not None:
        expected["in_domain"] = inside
        allowed["in_domain"] = np.zeros(len(inside), bool)
        for detector, values in zip((metadata.ood_detector, metadata.image_detector), features, strict=True):
            if detector:
                distance = detector.distance(values)
                allowed["in_domain"] |= np.isclose(distance, detector.threshold, TOLERANCE, TOLERANCE)
    for count in (1, len(pictures)):
        batches = np.split(pictures, len(pictures) // count)
        answers = zip(*(session.run(names, {"pictures": batch}) for batch in batches), strict=True)
        for name, parts in zip(names, answers, strict=True):
            off = np.abs(np.concatenate(parts).astype(np.float64) - expected[name])
            wrong = ~(off <= allowed[name])  # and so is what is no number
            if wrong.any():
                raise ExportError(
                    f"onnxruntime answers otherwise than the checkpoint for {wrong.sum()} of {len(pictures)} "
                    f"pictures in batches of {count}: {name} is off by {off.max():.2g}; nothing is written"
                )


def check_pictures(size: int) -> np.ndarray:
    """CHECKED different pictures made by code, always the same, uint8 of shape (CHECKED, size, size, 3).

    A quarter is noise, a quarter gradients, and a half textures whose amplitudes fall with the frequency as
    those of photographs do (Field 1987, doi 10.1364/JOSAA.4.002379).
    """
    random = np.random.default_rng(0)
    quarter = CHECKED // 4
    noise = random.uniform(0, 255, (quarter, size, size, 3))
    slope = np.linspace(0, 1, size)[:, None, None]
    start, down, right = random.uniform(-100, 255, (3, quarter, 1, 1, 3))
    gradients = start + down * slope + right * slope.swapaxes(0, 1)
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.fftfreq(size))[..., None]
    white = np.fft.fft2(random.normal(0, 1, (CHECKED - 2 * quarter, size, size, 3)), axes=(1, 2))
    textures = np.fft.ifft2(white / np.maximum(frequency, 1 / size), axes=(1, 2)).real
    textures = 128 + 50 * textures / textures.std((1, 2, 3), keepdims=True)
    return np.concatenate([noise, gradients, textures]).clip(0, 255).astype(np.uint8)


def _project() -> dict[str, str]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
