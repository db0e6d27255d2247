"""The predictor: a checkpoint on a device, from RGB pictures to P(REAL)."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from model import SHIPPED
from model.checkpoint import Checkpoint, Label
from model.hardware import pick_device
from model.network import logits

Pictures = Sequence[np.ndarray] | np.ndarray
"""RGB pictures, each uint8 of shape (H, W, 3): a list of any sizes, or one array of equal ones."""

PASS_PIXELS = 1 << 20


@dataclass(frozen=True)
class Verdict:
    """label, and the calibrated probability, in [0, 1], of that label."""

    label: Label
    confidence: float


class Predictor:
    """A network ready to be asked. Calls from several threads are served one after another."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", batch_size: int | None = None) -> None:
        self.checkpoint = checkpoint
        self.preprocess = checkpoint.preprocess
        self.device = pick_device(device)
        # What a pass keeps in memory grows with its pixels: some 0.5 GB for 256 pictures of 32x32.
        self.batch_size = batch_size or max(1, min(256, PASS_PIXELS // self.preprocess.size**2))
        network = checkpoint.network().to(self.device).to(memory_format=torch.channels_last)
        self._network = network.requires_grad_(False)
        # One network pass already uses every core it was given: two at once only get in each other's way.
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: Path | str = SHIPPED, device: str = "auto") -> "Predictor":
        """From a checkpoint file. Raises CheckpointError, or ValueError for a device that is not there."""
        return cls(Checkpoint.load(Path(path)), device)

    def predict(self, pictures: Pictures) -> np.ndarray:
        """P(REAL) in [0, 1], float64 of shape (N,), for RGB pictures.

        A picture's answer does not depend on the others in the list, but for rounding (1e-6).
        """
        return self.checkpoint.probability(self.logits(pictures))

    def logits(self, pictures: Pictures) -> np.ndarray:
        """What the network says of label 1 before temperature, float64 of shape (N,)."""
        parts = [
            self._forward(self.preprocess.pack(pictures[start : start + self.batch_size]))
            for start in range(0, len(pictures), self.batch_size)
        ]
        return np.concatenate(parts) if parts else np.empty(0)

    def verdict(self, prediction: float) -> Verdict:
        """The label for a P(REAL), by the checkpoint's threshold."""
        if prediction >= self.checkpoint.threshold:
            return Verdict("REAL", prediction)
        return Verdict("FAKE", 1 - prediction)

    def _forward(self, batch: Tensor) -> np.ndarray:
        with self._lock, torch.inference_mode():
            pictures = self.preprocess.normalise(batch.to(self.device))
            return logits(self._network, pictures).double().cpu().numpy()
