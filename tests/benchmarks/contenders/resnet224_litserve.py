"""LitServe in its published comparison: ResNet18 at 224x224, a base64 JPEG in JSON, batches, two workers."""

import base64
import io
import sys
from typing import Any

import litserve as ls
import torch
from PIL import Image
from torchvision.models import ResNet18_Weights, resnet18


class Classifier(ls.LitAPI):
    def setup(self, device: str) -> None:
        torch.manual_seed(0)
        self.prepare = ResNet18_Weights.DEFAULT.transforms()
        self.network = resnet18().to(device).eval()

    def decode_request(self, request: dict[str, str]) -> torch.Tensor:
        data = base64.b64decode(request["image_data"])
        return self.prepare(Image.open(io.BytesIO(data)).convert("RGB"))

    def batch(self, inputs: list[torch.Tensor]) -> torch.Tensor:
        return torch.stack(inputs)

    def predict(self, pictures: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            return self.network(pictures).softmax(1)

    def encode_response(self, output: torch.Tensor) -> dict[str, Any]:
        return {"output": int(output.argmax())}


if __name__ == "__main__":
    api = Classifier(max_batch_size=16, batch_timeout=0.01)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=2)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
