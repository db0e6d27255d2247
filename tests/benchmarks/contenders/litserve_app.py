"""LitServe with its batching."""

import sys
from typing import Any

import litserve as ls
from fastapi import UploadFile

from tests.benchmarks.contenders.shared_predictor import answers, predictor


class Detector(ls.LitAPI):
    def setup(self, device: str) -> None:
        self.opened = predictor()

    def decode_request(self, request: UploadFile) -> bytes:
        return request.file.read()

    def batch(self, inputs: list[bytes]) -> list[bytes]:
        return inputs

    def predict(self, files: list[bytes]) -> list[dict[str, Any]]:
        return answers(self.opened, files)

    def unbatch(self, output: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return output

    def encode_response(self, output: dict[str, Any]) -> dict[str, Any]:
        return output


if __name__ == "__main__":
    api = Detector(max_batch_size=32, batch_timeout=0.005)
    server = ls.LitServer(api, accelerator="cpu", workers_per_device=int(sys.argv[2]))
    server.run(host="127.0.0.1", port=int(sys.argv[1]), generate_client_file=False)
