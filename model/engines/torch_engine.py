"""The PyTorch engine: the reference implementation, and the engine for GPUs."""

import numpy as np
import torch
from torch import Tensor

from model.architecture import GRAD_CAM_LAYER
from model.checkpoint import Checkpoint
from model.engines.engine import EngineInfo
from model.engines.hardware import autocast, has_bf16, pick_device
from model.grad_cam import grad_cam
from model.network import fuse_batch_norms, logits_and_means


class TorchEngine:
    """A network whose batch norms are fused into the convolutions before them."""

    def __init__(self, checkpoint: Checkpoint, device: str = "auto", precision: str = "f32") -> None:
        """`auto` precision is bf16 on a GPU that supports it, if the checkpoint's metrics allow it, else f32.

        Raises ValueError for an unavailable device, or a precision that PyTorch does not support on it.
        """
        self.device = pick_device(device)
        if precision == "auto":
            supported = self.device.type != "cpu" and has_bf16(self.device)
            precision = "bf16" if supported and checkpoint.metadata.allows_precision("bf16") else "f32"
        if precision == "int8":
            raise ValueError("torch runs the network in f32 or bf16; int8 is OpenVINO's")
        self.info = EngineInfo("PyTorch", precision, str(self.device))
        autocast(self.device, precision)  # raises ValueError
        self._precision = precision
        self._normalize = checkpoint.metadata.preprocess.normalize
        network = fuse_batch_norms(checkpoint.network())
        self._network = network.to(self.device).to(memory_format=torch.channels_last).requires_grad_(False)

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """See model.engines.engine.Engine. `use_all_cores` has no effect: PyTorch's threads are global."""
        with torch.inference_mode(), autocast(self.device, self._precision):
            z, means = logits_and_means(self._network, self._prepare(batch))
        return z.cpu().double().numpy(), means.cpu().float().numpy()  # MPS has no float64

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = GRAD_CAM_LAYER) -> np.ndarray:
        """See model.engines.engine.Engine."""
        signs = torch.from_numpy(sign).float().to(self.device)
        return grad_cam(self._network, self._prepare(batch), signs, layer).cpu().numpy()

    def _prepare(self, batch: np.ndarray) -> Tensor:
        return self._normalize(torch.from_numpy(batch).permute(0, 3, 1, 2).to(self.device))
