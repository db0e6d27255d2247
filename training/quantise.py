"""Eight-bit ranges from pictures, and the record of what each precision costs in accuracy."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import nncf
import numpy as np

from model.checkpoint import Checkpoint
from model.convert import convert, graph
from model.engines import Engine
from model.manifest import RECORDED, Manifest, Range
from model.openvino_engine import OpenVinoEngine
from model.predictor import Predictor
from model.quantised import ranges_of
from model.torch_engine import TorchEngine
from training.data import Pictures

CALIBRATED = 512


def quantise(plain: Checkpoint, trained_on: Pictures) -> Checkpoint:
    """The checkpoint with int8 ranges and a record of bf16 and int8 beside f32.

    trained_on: pictures that the model knows. Ranges come from some of them, the record from 10,000.
    bf16 is PyTorch's, which every processor computes, if slowly.
    """
    checkpoint = replace(plain, int8=int8_ranges(plain, trained_on.sample(CALIBRATED).images))
    judged = trained_on.sample(RECORDED)
    with tempfile.TemporaryDirectory() as folder:
        ranged = Path(folder) / "model.pth"
        checkpoint.save(ranged)
        convert(ranged, Path(folder))
        engines: dict[str, Engine] = {
            "bf16": TorchEngine(plain, "cpu", "bf16"),
            "int8": OpenVinoEngine(plain, Path(folder), ranged, "int8"),
        }
        reference = Predictor.of(plain, "cpu").logits(judged.images)
        record = {
            name: cost(plain, Predictor(plain, engine).logits(judged.images), reference, judged.labels)
            for name, engine in engines.items()
        }
    return replace(checkpoint, metrics=plain.metrics | {"precisions": record})


def int8_ranges(checkpoint: Checkpoint, pictures: np.ndarray) -> tuple[Range, ...]:
    """The ranges of activations that NNCF finds from pictures, uint8 of shape (N, size, size, 3).

    One range for all channels of an activation (Nagel et al. 2021, "A White Paper on Neural Network
    Quantization", arXiv 2106.08295, section 3). NNCF's correction of biases is left out: a range is all
    that a checkpoint has to carry.
    """
    found = nncf.quantize(
        graph(checkpoint),
        nncf.Dataset([picture[None] for picture in pictures]),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(pictures),
        advanced_parameters=nncf.AdvancedQuantizationParameters(disable_bias_correction=True),
    )
    return ranges_of(found)


def cost(manifest: Manifest, z: np.ndarray, reference: np.ndarray, labels: np.ndarray) -> dict[str, Any]:
    """What logits (N,) lose against the reference's: points of accuracy, and the share answered otherwise."""
    one, other = (manifest.probability(part) >= manifest.threshold for part in (z, reference))
    right, right_before = ((answers == (labels == 1)).mean() for answers in (one, other))
    return {
        "pictures": len(labels),
        "accuracy": float(right),
        "points_lost": float(100 * (right_before - right)),
        "answered_otherwise": float((one != other).mean()),
    }


def describe(record: dict[str, Any]) -> str:
    """The record for people."""
    return "\n".join(
        f"{name}: {one['accuracy']:.2%} of {one['pictures']} pictures, {one['points_lost']:+.2f} points lost "
        f"against f32, {one['answered_otherwise']:.2%} answered otherwise"
        for name, one in record.items()
    )
