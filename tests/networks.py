"""Random weights, and inference with an OpenVINO graph."""

from functools import cache
from importlib.util import find_spec
from typing import get_args

import numpy as np
import openvino as ov
import pytest
import torch
from openvino.properties import hint, inference_num_threads
from torch import nn
from torchvision.models.resnet import BasicBlock, ResNet

from model.architecture import BACKBONES, FEATURES, RESNET18, Architecture, Head, Stem
from model.checkpoint import Checkpoint
from model.engines.openvino_graph import weight_shapes
from model.images.preprocess import Preprocess
from model.metadata import CheckpointMetadata
from model.network import build_network
from model.tensors import to_arrays

NARROWER = 8  # times, in each stage of a narrow network
SIZE = 24  # gives feature maps of even and of odd sizes with every stem
BY_TIMM = [name for name in BACKBONES if name != RESNET18]
needs_timm = pytest.mark.skipif(
    find_spec("timm") is None, reason="timm is not installed: pip install --group backbones"
)
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


class NarrowResNet(ResNet):
    """A ResNet18 with an eighth of the channels in each stage: quick to train and save."""

    def _make_layer(self, block: type, planes: int, *arguments: int, **named: int) -> nn.Sequential:
        return super()._make_layer(block, planes // NARROWER, *arguments, **named)


def build_narrow_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make `model.network.build_network` build narrow networks."""

    def narrow_resnet18(weights: None, **named: bool) -> ResNet:
        return NarrowResNet(BasicBlock, [2, 2, 2, 2], **named)

    monkeypatch.setattr("model.network.resnet18", narrow_resnet18)
    monkeypatch.setattr("model.network.FEATURES", FEATURES // NARROWER)


def random_network(architecture: Architecture) -> Checkpoint:
    """A checkpoint with the random weights that training starts from, narrow if networks are."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        weights = build_network(architecture).state_dict()
    return Checkpoint(CheckpointMetadata(architecture, Preprocess()), to_arrays(weights))


@cache
def random_backbone(backbone: str) -> Checkpoint:
    """A checkpoint of a network by timm, under whose random weights activations do not vanish."""
    architecture = Architecture().with_backbone(backbone)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        network = build_network(architecture)
        for parameter in network.parameters():
            if parameter.ndim == 1:  # of norms, biases and scales, which may be 0
                parameter += 0.2 * torch.randn_like(parameter)
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 1.0
        network.train()(torch.randn(16, 3, 32, 32))  # sets the statistics of batch norms
    return Checkpoint(CheckpointMetadata(architecture, Preprocess()), to_arrays(network.state_dict()))
