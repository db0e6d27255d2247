"""Random weights, and inference with an OpenVINO graph."""

from functools import cache
from typing import get_args

import numpy as np
import openvino as ov
from openvino.properties import hint, inference_num_threads

from model.architecture import Architecture, Head, Stem
from model.engines.openvino_graph import weight_shapes

SIZE = 24  # gives feature maps of even and of odd sizes with every stem
ARCHITECTURES = [Architecture(stem, head) for stem in get_args(Stem) for head in get_args(Head)]


@cache
def random_weights(architecture: Architecture) -> dict[str, np.ndarray]:
    """Random weights under which activations and gradients neither vanish nor explode."""
    random = np.random.default_rng(0)
    weights = {}
    for name, shape in weight_shapes(architecture).items():
        if len(shape) > 1:
            values = random.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape)
        elif name.endswith(("weight", "running_var")):
            values = random.uniform(0.5, 1.5, shape) * (0.3 if name.endswith("bn2.weight") else 1)
        else:
            values = random.normal(0, 0.1, shape)
        weights[name] = values.astype(np.float32)
    return weights


def run_graph(graph: ov.Model, *inputs: np.ndarray) -> list[np.ndarray]:
    """The graph's outputs, computed on the CPU in float32."""
    settings = {hint.inference_precision(): ov.Type.f32, inference_num_threads(): 2}
    request = ov.Core().compile_model(graph, "CPU", settings).create_infer_request()
    return list(request.infer(list(inputs)).values())
