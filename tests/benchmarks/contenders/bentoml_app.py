"""BentoML with its adaptive batching. It refuses what it expects to take longer than `max_latency_ms`."""

from pathlib import Path
from typing import Any

import bentoml

from tests.benchmarks.contenders.shared_predictor import answers, predictor


@bentoml.service(traffic={"timeout": 60}, workers="cpu_count")
class Detector:
    def __init__(self) -> None:
        self.opened = predictor()

    @bentoml.api(batchable=True, max_batch_size=32, max_latency_ms=30_000)
    def predict(self, file: list[Path]) -> list[dict[str, Any]]:
        return answers(self.opened, [path.read_bytes() for path in file])
