"""The predictor: a checkpoint and an engine, from RGB pictures to P(REAL)."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from model import SHIPPED
from model.architecture import CHANNEL_MEANS, LAYER
from model.engines.engine import Engine, open_engine
from model.metadata import Label, Manifest

if TYPE_CHECKING:
    from model.checkpoint import Checkpoint

Pictures = Sequence[np.ndarray] | np.ndarray
"""RGB pictures, each uint8 of shape (H, W, 3): a list of any sizes, or one array of equal ones."""

PASS_PIXELS = 1 << 20


@dataclass(frozen=True)
class Reading:
    """What the network makes of N pictures.

    predictions: P(REAL) in [0, 1], float64 of shape (N,).
    in_domain: whether each is like the pictures trained on, bool of shape (N,); None where the
        checkpoint cannot tell.
    """

    predictions: np.ndarray
    in_domain: np.ndarray | None


@dataclass(frozen=True)
class Verdict:
    """label, and the calibrated probability, in [0, 1], of that label.

    Of an UNCERTAIN verdict the confidence is that of the likelier label.
    """

    label: Label | Literal["UNCERTAIN"]
    confidence: float


class Predictor:
    """A network ready to be asked. Calls from several threads are served one after another.

    Heat maps wait for heat maps only: the first one, which may import torch, holds no prediction up.
    """

    def __init__(self, checkpoint: Manifest, engine: Engine, batch_size: int | None = None) -> None:
        self.checkpoint = checkpoint
        self.preprocess = checkpoint.preprocess
        self.engine = engine
        # What a pass keeps in memory grows with its pixels: some 0.5 GB for 256 pictures of 32x32.
        self.batch_size = batch_size or max(1, min(256, PASS_PIXELS // self.preprocess.size**2))
        # One network pass already uses every core it was given: two at once only get in each other's way.
        self._lock = threading.Lock()
        self._explaining = threading.Lock()

    @classmethod
    def of(cls, checkpoint: "Checkpoint", device: str = "auto", batch_size: int | None = None) -> "Predictor":
        """Of a checkpoint in memory, by torch in f32. Raises ValueError for a device that is not there."""
        from model.engines.torch_engine import TorchEngine

        return cls(checkpoint, TorchEngine(checkpoint, device), batch_size)

    @classmethod
    def load(
        cls,
        path: Path | str = SHIPPED,
        device: str = "auto",
        engine: str = "torch",
        precision: str = "f32",
        cache: Path | None = None,
    ) -> "Predictor":
        """From a checkpoint file; see `model.engines.engine.open_engine` for the arguments and errors."""
        return cls(*open_engine(Path(path), device, engine, precision, cache))

    def read(self, pictures: Pictures, alone: bool = True) -> Reading:
        """P(REAL) and whether the checkpoint's figures hold for it, for RGB pictures.

        alone: see `model.engines.engine`. A picture's answer does not depend on the others in the list, but
        for rounding (1e-6).
        """
        z, means = self.look(pictures, alone)
        domain = self.checkpoint.domain
        return Reading(self.checkpoint.probability(z), domain.holds(means) if domain else None)

    def predict(self, pictures: Pictures) -> np.ndarray:
        """P(REAL) alone, as `read` gives it."""
        return self.read(pictures).predictions

    def logits(self, pictures: Pictures) -> np.ndarray:
        """What the network says of label 1 before calibration, float64 of shape (N,)."""
        return self.look(pictures)[0]

    def look(self, pictures: Pictures, alone: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Logits, and the channel means that the domain is judged by, float32 of shape (N, CHANNEL_MEANS)."""
        parts = []
        for batch in self._parts(pictures):
            with self._lock:
                parts.append(self.engine.look(batch, alone))
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
        towards = self.checkpoint.towards(self.predict(pictures) if predictions is None else predictions)
        if towards.shape != (len(pictures),):
            raise ValueError(f"{len(pictures)} pictures need as many predictions, not {towards.shape}")
        heat = [np.empty((0, self.preprocess.size, self.preprocess.size), np.float32)]
        for number, batch in enumerate(self._parts(pictures)):
            start = number * self.batch_size
            with self._explaining:
                heat.append(self.engine.explain(batch, towards[start : start + len(batch)], layer))
        return np.concatenate(heat)

    def verdict(self, prediction: float, abstain: float = 0.0) -> Verdict:
        """The label for a P(REAL), by the checkpoint's threshold.

        It is UNCERTAIN where its confidence is below `abstain`.
        """
        real = prediction >= self.checkpoint.threshold
        confidence = prediction if real else 1 - prediction
        if confidence < abstain:
            return Verdict("UNCERTAIN", confidence)
        return Verdict("REAL" if real else "FAKE", confidence)

    def _parts(self, pictures: Pictures) -> Iterator[np.ndarray]:
        """As batches at the network's size."""
        for start in range(0, len(pictures), self.batch_size):
            yield self.preprocess.pack(pictures[start : start + self.batch_size])
