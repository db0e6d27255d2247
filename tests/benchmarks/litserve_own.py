"""LitServe's published comparison and this service: ResNet18 at 224x224, base64 JPEG in JSON, 50 connections.

`python -m tests.benchmarks.litserve_own`; LitServe and FastAPI are in the dependency group `benchmarks`.
"""

import base64
import json
import sys
import tempfile
from pathlib import Path

import torch

from model.architecture import Architecture
from model.checkpoint import Checkpoint
from model.images.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from model.metadata import CheckpointMetadata
from model.network import build_network
from model.tensors import to_arrays
from tests.benchmarks.command import parser, run
from tests.benchmarks.load import Request
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise

APPS = "tests.benchmarks.contenders"
LITSERVE = Contender(
    "LitServe", (sys.executable, "-m", f"{APPS}.resnet224_litserve", "{port}"), ready="/health"
)
FASTAPI = Contender(
    "FastAPI, uvicorn",
    (sys.executable, "-m", "uvicorn", f"{APPS}.resnet224_fastapi:app", "--port", "{port}"),
)


def untrained(path: Path) -> None:
    """A checkpoint of torchvision's ResNet18 at 224x224; random weights do not affect its speed."""
    torch.manual_seed(0)
    architecture = Architecture("imagenet", "linear")
    weights = to_arrays(build_network(architecture).state_dict())
    metadata = CheckpointMetadata(architecture, Preprocess(224, IMAGENET_MEAN, IMAGENET_STD))
    Checkpoint(metadata, weights).save(path)


def posted(name: str) -> Request:
    """A request with the image as the field `name` of a JSON object."""
    text = base64.b64encode(encode(noise(0, 224, 224), "JPEG")).decode()
    return Request(json.dumps({name: text}).encode(), "application/json")


if __name__ == "__main__":
    options = parser("litserve_own", connections=(50,)).parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "resnet18.pth"
        untrained(model)
        service = ours(CIFAKE_MODEL=str(model), CIFAKE_THREADS="50")
        others = [(one, {"224x224": posted("image_data")}) for one in (LITSERVE, FASTAPI)]
        run(options, [(service, {"224x224": posted("file")}), *others])
