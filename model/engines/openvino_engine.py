"""OpenVINO as the engine: the network as one compiled graph, on the CPU."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import openvino as ov
from openvino import properties
from openvino.properties import hint

from model.architecture import LAYER
from model.engines.cpus import available_cpus, engine_threads
from model.metadata import CheckpointMetadata

if TYPE_CHECKING:
    from model.engines.torch_engine import TorchEngine

TYPES = {"f32": ov.Type.f32, "bf16": ov.Type.bf16, "int8": ov.Type.f32}


class OpenVinoEngine:
    """A network that `model.engines.convert` wrote.

    metadata: what its checkpoint says. folder: where `model.xml` and, where there is one, `int8.xml` lie.
    model: the checkpoint itself, which heat maps need.
    """

    def __init__(
        self, metadata: CheckpointMetadata, folder: Path, model: Path, precision: str = "auto"
    ) -> None:
        """Raises ValueError for a precision that this machine or this checkpoint does not have."""
        core = ov.Core()
        there = {"f32"}
        if "BF16" in core.get_property("CPU", properties.device.capabilities()):
            there.add("bf16")
        if (folder / "int8.xml").is_file():
            there.add("int8")
        precision = choose(precision, metadata, there)
        self.name = f"OpenVINO {precision} on cpu"
        self._model = model
        self._reference: TorchEngine | None = None
        graph = folder / ("int8.xml" if precision == "int8" else "model.xml")

        def compiled(threads: int) -> ov.InferRequest:
            settings = {
                hint.performance_mode(): hint.PerformanceMode.LATENCY,
                hint.inference_precision(): TYPES[precision],
                properties.inference_num_threads(): threads,
                # Every process would pin its threads to the same first cores.
                hint.enable_cpu_pinning(): False,
            }
            return core.compile_model(graph, "CPU", settings).create_infer_request()

        share, all_cores = engine_threads(), available_cpus()
        self._shared = compiled(share)
        self._all_cores = compiled(all_cores) if all_cores > share else self._shared

    def forward(self, batch: np.ndarray, use_all_cores: bool = True) -> tuple[np.ndarray, np.ndarray]:
        """See model.engines.engine.Engine."""
        request = self._all_cores if use_all_cores else self._shared
        request.infer([batch], share_inputs=True)
        z, means = (request.get_output_tensor(index).data for index in (0, 1))
        return z.astype(np.float64), means.copy()

    def explain(self, batch: np.ndarray, sign: np.ndarray, layer: str = LAYER) -> np.ndarray:
        """See model.engines.engine.Engine. Gradients are PyTorch's, which is imported when first asked."""
        if self._reference is None:
            from model.checkpoint import Checkpoint
            from model.engines.torch_engine import TorchEngine

            self._reference = TorchEngine(Checkpoint.load(self._model), "cpu")
        return self._reference.explain(batch, sign, layer)


def choose(precision: str, metadata: CheckpointMetadata, there: set[str]) -> str:
    """The precision asked for; for `auto` int8 where there and the checkpoint's record allows it, else f32.

    `auto` is not bf16: whether that is faster than f32 differs between processors that have it, and
    a measurement by workers that start side by side would let each of them
    answer in another precision. Raises ValueError for a precision that is not there.
    """
    if precision == "auto":
        return "int8" if "int8" in there and metadata.allows("int8") else "f32"
    if precision not in there:
        raise ValueError(f"{precision} is not to be had here: there are {', '.join(sorted(there))}")
    return precision
