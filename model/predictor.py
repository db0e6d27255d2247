"""The predictor: a checkpoint and an engine, from RGB pictures to P(REAL)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from model import SHIPPED
from model.architecture import CHANNEL_MEANS, LAYER
from model.engines.engine import Engine, EngineInfo, open_engine
from model.metadata import THRESHOLD, CheckpointMetadata, Label

if TYPE_CHECKING:
    from model.checkpoint import Checkpoint

Pictures = Sequence[np.ndarray] | np.ndarray
"""RGB pictures, each uint8 of shape (H, W, 3): a list of any sizes, or one array of equal ones."""

PASS_PIXELS = 1 << 20


@dataclass(frozen=True)
class Prediction:
    """What the network makes of N pictures.

    predictions: P(REAL) in [0, 1], float64 of shape (N,).
    in_domain: whether each is like the pictures trained on, bool of shape (N,); None where the
        checkpoint cannot tell.
    """

    predictions: np.ndarray
    in_domain: np.ndarray | None


@dataclass(frozen=True)
class Decision:
    """label, and the calibrated probability, in [0, 1], of that label.

    Of an UNCERTAIN decision the confidence is that of the likelier label.
    """

    label: Label | Literal["UNCERTAIN"]
    confidence: float


class Predictor:
    """A network ready to predict.

    Not thread-safe: one thread at a time may predict, and another one explain.
    """

    def __init__(self, metadata: CheckpointMetadata, engine: Engine, batch_size: int | None = None) -> None:
        self.metadata = metadata
        self.preprocess = metadata.preprocess
        self.engine = engine
        # What a pass keeps in memory grows with its pixels: some 0.5 GB for 256 pictures of 32x32.
        self.batch_size = batch_size or max(1, min(256, PASS_PIXELS // self.preprocess.size**2))

    @classmethod
    def from_checkpoint(
        cls, checkpoint: "Checkpoint", device: str = "auto", batch_size: int | None = None
    ) -> "Predictor":
        """Of a checkpoint in memory, by torch in f32. Raises ValueError for a device that is not there."""
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
        """From a checkpoint file; see `model.engines.engine.open_engine` for the arguments and errors."""
        return cls(*open_engine(Path(path), device, engine, precision))

    @property
    def info(self) -> EngineInfo:
        """What runs the network."""
        return self.engine.info

    def predict(self, pictures: Pictures, use_all_cores: bool = True) -> Prediction:
        """P(REAL) and whether the checkpoint's figures hold for it, for RGB pictures.

        use_all_cores: see `model.engines.engine`. A picture's answer does not depend on the others in the
        list, but for rounding (1e-6).
        """
        z, means = self.forward(pictures, use_all_cores)
        detector = self.metadata.ood_detector
        return Prediction(self.metadata.probability(z), detector.contains(means) if detector else None)

    def predict_proba(self, pictures: Pictures) -> np.ndarray:
        """P(REAL) only, float64 of shape (N,)."""
        return self.predict(pictures).predictions

    def logits(self, pictures: Pictures) -> np.ndarray:
        """What the network says of label 1 before calibration, float64 of shape (N,)."""
        return self.forward(pictures)[0]

    def forward(self, pictures: Pictures, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Logits, and the channel means that `model.ood` judges by, float32 of shape (N, CHANNEL_MEANS)."""
        parts = []
        for batch in self._parts(pictures):
            parts.append(self.engine.forward(batch, use_all_cores))
        if not parts:
            return np.empty(0), np.empty((0, CHANNEL_MEANS), np.float32)
        return np.concatenate([z for z, _ in parts]), np.concatenate([means for _, means in parts])

    def explain(
        self, pictures: Pictures, layer: str = LAYER, predictions: np.ndarray | None = None
    ) -> np.ndarray:
        """Grad-CAM heat maps at the network's size, float32 of shape (N, size, size) in [0, 1].

        Each is of the label that was answered. predictions: P(REAL) as it was answered, of shape (N,); the
        engine is asked where it is not given. Raises ValueError for another number of predictions.
        """
        sign = self.metadata.label_sign(self.predict_proba(pictures) if predictions is None else predictions)
        if sign.shape != (len(pictures),):
            raise ValueError(f"{len(pictures)} pictures need as many predictions, not {sign.shape}")
        heat = [np.empty((0, self.preprocess.size, self.preprocess.size), np.float32)]
        for number, batch in enumerate(self._parts(pictures)):
            start = number * self.batch_size
            heat.append(self.engine.explain(batch, sign[start : start + len(batch)], layer))
        return np.concatenate(heat)

    def decide(self, prediction: float, abstain: float = 0.0) -> Decision:
        """The label for a P(REAL).

        It is UNCERTAIN where its confidence is below `abstain`.
        """
        real = prediction >= THRESHOLD
        confidence = prediction if real else 1 - prediction
        if confidence < abstain:
            return Decision("UNCERTAIN", confidence)
        return Decision("REAL" if real else "FAKE", confidence)

    def _parts(self, pictures: Pictures) -> Iterator[np.ndarray]:
        """As batches at the network's size."""
        for start in range(0, len(pictures), self.batch_size):
            yield self.preprocess.pack(pictures[start : start + self.batch_size])
