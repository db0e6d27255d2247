"""The baseline of LitServe's published comparison: FastAPI, ResNet18 at 224x224, a base64 JPEG in JSON."""

import base64
import io
from typing import Any

import torch
from fastapi import FastAPI
from PIL import Image
from pydantic import BaseModel
from torchvision.models import ResNet18_Weights, resnet18

app = FastAPI()
torch.manual_seed(0)
prepare = ResNet18_Weights.DEFAULT.transforms()
network = resnet18().eval()


class Upload(BaseModel):
    """What is posted."""

    image_data: str


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
def predict(upload: Upload) -> dict[str, Any]:
    picture = Image.open(io.BytesIO(base64.b64decode(upload.image_data))).convert("RGB")
    with torch.inference_mode():
        return {"output": int(network(prepare(picture)[None]).softmax(1).argmax())}
