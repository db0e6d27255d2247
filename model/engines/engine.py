"""The interface of inference engines, and the selection of one."""

from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple, Protocol, get_args

import numpy as np

from model.architecture import GRAD_CAM_LAYER
from model.checkpoint import Checkpoint
from model.engines.cpus import runs_on_cpu
from model.metadata import CheckpointMetadata

EngineName = Literal["torch", "openvino"]
Precision = Literal["f32", "bf16", "int8"]


class EngineInfo(NamedTuple):
    """framework: `OpenVINO` or `PyTorch`. precision: one of `Precision`. device: `cpu`, `cuda`, ..."""

    framework: str
    precision: str
    device: str

    def __str__(self) -> str:
        return f"{self.framework} {self.precision} on {self.device}"


class Engine(Protocol):
    """Runs a network. Batches are uint8 of shape (N, size, size, 3), RGB, N at least 1.

    Not thread-safe: one thread at a time may call `forward`, and another one `explain`.
    """

    info: EngineInfo

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """Logits, float64 of shape (N,), and what `model.ood` judges by, float32 of shape (N, D).

        D is `Architecture.ood_features`; see `model.network.logits_and_means`.

        use_all_cores: use all available CPUs rather than `engine_threads()`. That lowers the latency of one
        batch; under concurrent load throughput is higher without, because threads synchronize at every layer.
        """
        ...

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = GRAD_CAM_LAYER) -> np.ndarray:
        """Grad-CAM heat maps, float32 of shape (N, size, size) in [0, 1].

        sign: float of shape (N,), +1 if the target is label 1, -1 if it is label 0.
        """
        ...


def open_engine(
    model: Path, device: str = "auto", kind: str = "auto", precision: str = "auto"
) -> tuple[CheckpointMetadata, Engine]:
    """Load a checkpoint and open an engine for it.

    device: `auto`, or a torch device. kind: `torch`, `openvino` or `auto`. precision: `f32`, `bf16`,
    `int8` or `auto`.

    `auto` is PyTorch in bf16 or f32 on a GPU, and OpenVINO in int8 or f32 on a CPU. The lower precision is
    selected if the device supports it and the checkpoint's metrics allow it (see
    `model.metadata.MAX_ACCURACY_DROP`). Raises CheckpointError, or ValueError for an unavailable choice.
    """
    for value, choice in ((kind, EngineName), (precision, Precision)):
        if value != "auto" and value not in get_args(choice):
            raise ValueError(f"{value!r} is none of auto, {', '.join(get_args(choice))}")
    if kind == "torch" or (kind == "auto" and not runs_on_cpu(device)):
        if find_spec("torch") is None:
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
