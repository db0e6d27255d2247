"""Engines: what runs a network. One seam, so that a server may run it by what its machine does best."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np

from model.architecture import LAYER
from model.checkpoint import Checkpoint
from model.engines.cpus import runs_on_cpu
from model.metadata import CheckpointMetadata

Kind = Literal["torch", "openvino"]
Precision = Literal["f32", "bf16", "int8"]


class EngineInfo(NamedTuple):
    """framework: `OpenVINO` or `PyTorch`. precision: one of `Precision`. device: `cpu`, `cuda`, ..."""

    framework: str
    precision: str
    device: str

    def __str__(self) -> str:
        return f"{self.framework} {self.precision} on {self.device}"


class Engine(Protocol):
    """A network that can be asked by one thread at a time, and by another one at a time for heat maps.

    info: what runs it.
    Batches are uint8 of shape (N, size, size, 3), RGB, N at least 1.
    """

    info: EngineInfo

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Logits, float64 of shape (N,), and channel means, float32 of shape (N, CHANNEL_MEANS).

        use_all_cores: nobody else waits, and a CPU may put all its cores to this batch. Cores that work on
        one batch together wait for one another at every layer, so that in a crowd each is better off
        with a batch of its own.
        """
        ...

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = LAYER) -> np.ndarray:
        """Grad-CAM heat maps, float32 of shape (N, size, size) in [0, 1].

        sign: float of shape (N,), +1 where the map is to be of label 1 and -1 where of label 0.
        """
        ...


def open_engine(
    model: Path, device: str = "auto", kind: str = "auto", precision: str = "auto"
) -> tuple[CheckpointMetadata, Engine]:
    """A checkpoint's metadata, and the engine that runs its network.

    device: `auto`, or a torch device. kind: `torch`, `openvino` or `auto`. precision: `f32`, `bf16`,
    `int8` or `auto`.

    `auto` is torch on a GPU, in bf16 or f32, and OpenVINO on a CPU, in int8 or f32: in f32 unless the machine
    computes in the other and, by the checkpoint's own record, that loses next to nothing (see
    `model.metadata.MAX_ACCURACY_DROP`). Raises CheckpointError, or ValueError for what cannot be had here.
    """
    for value, choice in ((kind, Kind), (precision, Precision)):
        if value != "auto" and value not in get_args(choice):
            raise ValueError(f"{value!r} is none of auto, {', '.join(get_args(choice))}")
    if kind == "torch" or (kind == "auto" and not runs_on_cpu(device)):
        if find_spec("torch") is None:  # as on most servers
            raise ValueError(
                f"engine {kind!r} on device {device!r} needs PyTorch, which is not installed: "
                "pip install -r requirements.txt"
            )
        from model.engines.torch_engine import TorchEngine

        checkpoint = Checkpoint.load(model)
        return checkpoint.metadata, TorchEngine(checkpoint, device, precision)
    if device not in ("auto", "cpu"):
        raise ValueError(f"OpenVINO runs on the CPU here, not on {device!r}")
    from model.engines.openvino_engine import OpenVinoEngine

    checkpoint = Checkpoint.load(model)
    return checkpoint.metadata, OpenVinoEngine(checkpoint, precision)
