"""The OpenVINO engine, for CPUs. Needs no PyTorch for ResNet18, which other backbones are converted from."""

import threading

import numpy as np
import openvino as ov
from openvino import properties
from openvino.properties import hint

from model.architecture import GRAD_CAM_LAYER, RESNET18
from model.checkpoint import Checkpoint
from model.engines.conversion import graph_of
from model.engines.cpus import available_cpus, engine_threads
from model.engines.engine import Engine, EngineInfo
from model.engines.openvino_grad_cam import build_grad_cam
from model.engines.quantization import quantize
from model.metadata import CheckpointMetadata

TYPES = {"f32": ov.Type.f32, "bf16": ov.Type.bf16, "int8": ov.Type.f32}


class OpenVinoEngine:
    """A network, compiled for all available CPUs and for `engine_threads()`."""

    def __init__(self, checkpoint: Checkpoint, precision: str = "auto") -> None:
        """Raises ValueError for a precision that is not available, or a missing package that the backbone
        needs, and CheckpointError if the weights do not fit the architecture."""
        self._checkpoint = checkpoint
        self._core = ov.Core()
        metadata = checkpoint.metadata
        available = {"f32"}
        if "BF16" in self._core.get_property("CPU", properties.device.capabilities()):
            available.add("bf16")
        if metadata.int8:
            available.add("int8")
        precision = select_precision(precision, metadata, available)
        self.info = EngineInfo("OpenVINO", precision, "cpu")
        graph = graph_of(checkpoint)
        if precision == "int8":
            quantize(graph, metadata.int8)
        threads, all_cores = engine_threads(), available_cpus()
        self._all_cores = self._shared = self._compile(graph, max(threads, all_cores), precision)
        if all_cores > threads:
            # Compiling takes 0.2 s, and the first answer need not wait for it. The results are the same.
            threading.Thread(target=self._compile_shared, args=(graph, threads, precision)).start()
        self._grad_cam: tuple[str, ov.InferRequest] | None = None  # of the last requested layer
        self._differentiable: Engine | None = None  # of a backbone without a graph of its gradients

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """See model.engines.engine.Engine."""
        request = self._all_cores if use_all_cores else self._shared
        request.infer([batch], share_inputs=True)
        z, means = (request.get_output_tensor(index).data for index in (0, 1))
        return z.astype(np.float64), means.copy()

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = GRAD_CAM_LAYER) -> np.ndarray:
        """See model.engines.engine.Engine. A layer's graph, about 120 MB, is compiled on demand.

        Heat maps of other backbones than ResNet18 are PyTorch's.
        """
        if sign.shape != batch.shape[:1]:
            raise ValueError(f"{len(batch)} pictures need as many signs, not {sign.shape}")
        if self._checkpoint.metadata.architecture.backbone != RESNET18:
            if self._differentiable is None:
                from model.engines.torch_engine import TorchEngine

                self._differentiable = TorchEngine(self._checkpoint, "cpu")
            return self._differentiable.explain(batch, sign, layer)
        if self._grad_cam is None or self._grad_cam[0] != layer:
            metadata = self._checkpoint.metadata
            graph = build_grad_cam(
                self._checkpoint.weights, metadata.architecture, metadata.preprocess, layer
            )
            self._grad_cam = (layer, self._compile(graph, engine_threads(), "f32"))
        _, request = self._grad_cam
        request.infer([batch, sign], share_inputs=True)
        return request.get_output_tensor(0).data.copy()

    def _compile_shared(self, graph: ov.Model, threads: int, precision: str) -> None:
        request = self._compile(graph, threads, precision)
        size = self._checkpoint.metadata.preprocess.size
        request.infer([np.zeros((1, size, size, 3), np.uint8)])  # the first inference is slow
        self._shared = request

    def _compile(self, graph: ov.Model, threads: int, precision: str) -> ov.InferRequest:
        settings = {
            hint.performance_mode(): hint.PerformanceMode.LATENCY,
            hint.inference_precision(): TYPES[precision],
            properties.inference_num_threads(): threads,
            # Otherwise all processes would pin their threads to the same cores.
            hint.enable_cpu_pinning(): False,
        }
        return self._core.compile_model(graph, "CPU", settings).create_infer_request()


def select_precision(precision: str, metadata: CheckpointMetadata, available: set[str]) -> str:
    """The requested precision; for `auto` int8 if available and allowed by the metrics, else f32.

    `auto` is never bf16: on some CPUs that support it, it is slower than f32, and workers that measure it at
    startup could select different precisions. Raises ValueError for a precision that is not available.
    """
    if precision == "auto":
        return "int8" if "int8" in available and metadata.allows_precision("int8") else "f32"
    if precision not in available:
        raise ValueError(f"{precision} is not available here: there are {', '.join(sorted(available))}")
    return precision
