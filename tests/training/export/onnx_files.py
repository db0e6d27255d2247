"""Checkpoints that nobody trained, and what their ONNX files answer."""

from functools import cache
from typing import Any

import numpy as np

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointMetadata
from model.ood import MahalanobisDetector, OodFeatures, log_features
from model.predictor import Predictor
from tests.networks import SIZE, random_weights
from tests.pictures import noise
from training.export.onnx_export import build_model


def made(architecture: Architecture = Architecture(), **changes: Any) -> Checkpoint:
    """A checkpoint whose weights nobody trained."""
    metadata = CheckpointMetadata(architecture, Preprocess(SIZE, IMAGENET_MEAN, IMAGENET_STD), **changes)
    return Checkpoint(metadata, random_weights(architecture))


def with_detector(checkpoint: Checkpoint) -> Checkpoint:
    """Half of the pictures of `batch` are in its domain, by a good distance."""
    _, (means, _) = by_torch(checkpoint.metadata.architecture)
    mean = log_features(means).mean(0)
    whitening = np.random.default_rng(0).normal(0, 0.1, (len(mean), len(mean)))
    nearer, farther = np.sort(MahalanobisDetector(mean, whitening, 1).distance(means))[2:4]
    assert farther > 1.01 * nearer
    return checkpoint.with_metadata(
        ood_detector=MahalanobisDetector(mean, whitening, float(nearer + farther) / 2)
    )


@cache
def by_torch(architecture: Architecture) -> tuple[np.ndarray, OodFeatures]:
    """Logits of `batch` and what its domain is judged by, of a checkpoint made of this architecture."""
    return Predictor.from_checkpoint(made(architecture), "cpu").forward(batch())


def batch() -> np.ndarray:
    return np.stack([noise(seed, SIZE, SIZE) for seed in range(6)])


def answers(onnxruntime: Any, content: bytes, pictures: np.ndarray) -> dict[str, np.ndarray]:
    """The outputs of an ONNX file, by their names."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"pictures": pictures}), strict=True))


def content_of(checkpoint: Checkpoint) -> bytes:
    return build_model(checkpoint).SerializeToString()
