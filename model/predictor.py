"""The predictor: P(REAL), labels and heat maps of RGB images, by a checkpoint and an engine."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from model import SHIPPED
from model.architecture import GRAD_CAM_LAYER
from model.engines.engine import Engine, EngineInfo, open_engine
from model.images.statistics import STATISTICS, image_statistics
from model.metadata import THRESHOLD, CheckpointMetadata, Label
from model.ood import OodFeatures

if TYPE_CHECKING:
    from model.checkpoint import Checkpoint

Pictures = Sequence[np.ndarray] | np.ndarray
"""RGB images, each uint8 of shape (H, W, 3): a list of any sizes, or one array of shape (N, H, W, 3)."""

PASS_PIXELS = 1 << 20
"""Maximum of pixels in a batch: activations of 256 images of 32x32 take about 0.5 GB."""


@dataclass(frozen=True)
class Prediction:
    """predictions: P(REAL) in [0, 1], float64 of shape (N,).

    in_domain: whether each image is like the training data, bool of shape (N,); None if the checkpoint has no
        OOD detector.
    """

    predictions: np.ndarray
    in_domain: np.ndarray | None


@dataclass(frozen=True)
class Decision:
    """confidence: calibrated probability of the label, for UNCERTAIN that of the more probable label."""

    label: Label | Literal["UNCERTAIN"]
    confidence: float


class Predictor:
    """Not thread-safe: one thread at a time may call `predict`, and another one `explain`."""

    def __init__(self, metadata: CheckpointMetadata, engine: Engine, batch_size: int | None = None) -> None:
        self.metadata = metadata
        self.preprocess = metadata.preprocess
        self.engine = engine
        self.batch_size = batch_size or max(1, min(256, PASS_PIXELS // self.preprocess.size**2))

    @classmethod
    def from_checkpoint(
        cls, checkpoint: "Checkpoint", device: str = "auto", batch_size: int | None = None
    ) -> "Predictor":
        """From a checkpoint in memory, with PyTorch in f32. Raises ValueError for an unavailable device."""
        from model.engines.torch_engine import TorchEngine

        return cls(checkpoint.metadata, TorchEngine(checkpoint, device), batch_size)

    @classmethod
    def load(
        cls,
        path: Path | str = SHIPPED,
        device: str = "auto",
        engine: str = "auto",
        precision: str = "f32",
    ) -> "Predictor":
        """From a checkpoint file. Arguments and errors are those of `model.engines.engine.open_engine`."""
        return cls(*open_engine(Path(path), device, engine, precision))

    @property
    def info(self) -> EngineInfo:
        """Framework, precision and device."""
        return self.engine.info

    def predict(self, pictures: Pictures, use_all_cores: bool = True) -> Prediction:
        """P(REAL), and whether each image is in the domain.

        use_all_cores: see `model.engines.engine`. Results do not depend on the other images in the list,
        except for rounding (1e-6).
        """
        z, features = self.forward(pictures, use_all_cores)
        return Prediction(self.metadata.probability(z), self.metadata.contains(features))

    def predict_proba(self, pictures: Pictures) -> np.ndarray:
        """P(REAL) only, float64 of shape (N,)."""
        return self.predict(pictures).predictions

    def logits(self, pictures: Pictures) -> np.ndarray:
        """Logits of label 1 before calibration, float64 of shape (N,)."""
        return self.forward(pictures)[0]

    def forward(self, pictures: Pictures, use_all_cores: bool = True) -> tuple[np.ndarray, OodFeatures]:
        """Logits, float64 of shape (N,), and what the domain is judged by."""
        outputs = [
            (*self.engine.forward(batch, use_all_cores), image_statistics(batch))
            for batch in self._batches(pictures)
        ]
        if not outputs:
            widths = (self.metadata.architecture.ood_features, len(STATISTICS))
            return np.empty(0), OodFeatures(*(np.empty((0, width), np.float32) for width in widths))
        z, means, statistics = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
        return z, OodFeatures(means, statistics)

    def explain(
        self, pictures: Pictures, layer: str = GRAD_CAM_LAYER, predictions: np.ndarray | None = None
    ) -> np.ndarray:
        """Grad-CAM heat maps of the predicted labels, float32 of shape (N, size, size) in [0, 1].

        predictions: P(REAL) of shape (N,), predicted if None. Raises ValueError for another number of them.
        """
        sign = self.metadata.target_sign(self.predict_proba(pictures) if predictions is None else predictions)
        if sign.shape != (len(pictures),):
            raise ValueError(f"{len(pictures)} pictures need as many predictions, not {sign.shape}")
        heat = [np.empty((0, self.preprocess.size, self.preprocess.size), np.float32)]
        for number, batch in enumerate(self._batches(pictures)):
            start = number * self.batch_size
            heat.append(self.engine.explain(batch, sign[start : start + len(batch)], layer))
        return np.concatenate(heat)

    def decide(self, prediction: float, abstain: float = 0.0) -> Decision:
        """The label for a P(REAL); UNCERTAIN if its confidence is below `abstain`."""
        real = prediction >= THRESHOLD
        confidence = prediction if real else 1 - prediction
        if confidence < abstain:
            return Decision("UNCERTAIN", confidence)
        return Decision("REAL" if real else "FAKE", confidence)

    def _batches(self, pictures: Pictures) -> Iterator[np.ndarray]:
        """Batches at the network's input size."""
        for start in range(0, len(pictures), self.batch_size):
            yield self.preprocess.to_batch(pictures[start : start + self.batch_size])
