"""The hackathon's own design: Flask, ResNet18 at 224x224, PyTorch eager, one picture at a time."""

import io
from typing import Any

import torch
from flask import Flask, request
from PIL import Image
from torchvision import transforms
from torchvision.models import resnet18

app = Flask(__name__)
torch.manual_seed(0)
network = resnet18(num_classes=1).eval()  # random weights do not affect its speed
prepare = transforms.Compose(
    [transforms.Resize((224, 224)), transforms.ToTensor(), transforms.Normalize([0.5] * 3, [0.5] * 3)]
)


@app.get("/readyz")
def readyz() -> dict[str, str]:
    return {"status": "ready"}


@app.post("/predict")
def predict() -> dict[str, Any]:
    picture = Image.open(io.BytesIO(request.files["file"].read())).convert("RGB")
    with torch.no_grad():
        probability = torch.sigmoid(network(prepare(picture)[None])).item()
    real = probability >= 0.5
    return {"label": "REAL" if real else "FAKE", "confidence": max(probability, 1 - probability)}
