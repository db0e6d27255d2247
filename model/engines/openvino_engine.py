"""OpenVINO as the engine: the network as one compiled graph, on the CPU. Needs no PyTorch."""

import numpy as np
import openvino as ov
from openvino import properties
from openvino.properties import hint

from model.architecture import LAYER
from model.checkpoint import Checkpoint
from model.engines.cpus import available_cpus, engine_threads
from model.engines.engine import EngineInfo
from model.engines.openvino_grad_cam import build_grad_cam
from model.engines.openvino_graph import build_graph
from model.engines.quantization import quantise
from model.metadata import CheckpointMetadata

TYPES = {"f32": ov.Type.f32, "bf16": ov.Type.bf16, "int8": ov.Type.f32}


class OpenVinoEngine:
    """A checkpoint's network, compiled twice: for all cores, and for this process's share of them."""

    def __init__(self, checkpoint: Checkpoint, precision: str = "auto") -> None:
        """Raises ValueError for a precision that this machine or this checkpoint does not have, and
        CheckpointError where the weights do not fit the architecture."""
        self._checkpoint = checkpoint
        self._core = ov.Core()
        metadata = checkpoint.metadata
        available = {"f32"}
        if "BF16" in self._core.get_property("CPU", properties.device.capabilities()):
            available.add("bf16")
        if metadata.int8:
            available.add("int8")
        precision = choose(precision, metadata, available)
        self.info = EngineInfo("OpenVINO", precision, "cpu")
        graph = build_graph(checkpoint.weights, metadata.architecture, metadata.preprocess)
        if precision == "int8":
            quantise(graph, metadata.int8)
        share, all_cores = engine_threads(), available_cpus()
        self._shared = self._compiled(graph, share, precision)
        self._all_cores = self._shared
        if all_cores > share:
            self._all_cores = self._compiled(graph, all_cores, precision)
        self._grad_cam: tuple[str, ov.InferRequest] | None = None  # of the layer that was asked for last

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """See model.engines.engine.Engine."""
        request = self._all_cores if use_all_cores else self._shared
        request.infer([batch], share_inputs=True)
        z, means = (request.get_output_tensor(index).data for index in (0, 1))
        return z.astype(np.float64), means.copy()

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = LAYER) -> np.ndarray:
        """See model.engines.engine.Engine. A layer's graph, some 120 MB, is compiled when it is asked for."""
        if sign.shape != batch.shape[:1]:
            raise ValueError(f"{len(batch)} pictures need as many signs, not {sign.shape}")
        if self._grad_cam is None or self._grad_cam[0] != layer:
            metadata = self._checkpoint.metadata
            graph = build_grad_cam(
                self._checkpoint.weights, metadata.architecture, metadata.preprocess, layer
            )
            self._grad_cam = (layer, self._compiled(graph, engine_threads(), "f32"))
        _, request = self._grad_cam
        request.infer([batch, sign], share_inputs=True)
        return request.get_output_tensor(0).data.copy()

    def _compiled(self, graph: ov.Model, threads: int, precision: str) -> ov.InferRequest:
        settings = {
            hint.performance_mode(): hint.PerformanceMode.LATENCY,
            hint.inference_precision(): TYPES[precision],
            properties.inference_num_threads(): threads,
            # Every process would pin its threads to the same first cores.
            hint.enable_cpu_pinning(): False,
        }
        return self._core.compile_model(graph, "CPU", settings).create_infer_request()


def choose(precision: str, metadata: CheckpointMetadata, available: set[str]) -> str:
    """The precision asked for; for `auto` int8 where the checkpoint's record allows it, else f32.

    `auto` is not bf16: whether that is faster than f32 differs between processors that have it, and a
    measurement by workers that start side by side would let each of them answer in another precision. Raises
    ValueError for a precision that is not available.
    """
    if precision == "auto":
        return "int8" if "int8" in available and metadata.allows("int8") else "f32"
    if precision not in available:
        raise ValueError(f"{precision} is not available here: there are {', '.join(sorted(available))}")
    return precision
