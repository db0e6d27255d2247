"""Ray Serve with its batching."""

import sys
import time
from typing import Any

import ray
from ray import serve
from starlette.requests import Request

from model.engines.cpus import available_cpus
from tests.benchmarks.contenders.shared_predictor import answers, predictor


@serve.deployment(num_replicas=available_cpus(), max_ongoing_requests=256, ray_actor_options={"num_cpus": 1})
class Detector:
    def __init__(self) -> None:
        self.opened = predictor()

    @serve.batch(max_batch_size=32, batch_wait_timeout_s=0.005)
    async def together(self, files: list[bytes]) -> list[dict[str, Any]]:
        return answers(self.opened, files)

    async def __call__(self, request: Request) -> dict[str, Any]:
        if request.method == "GET":
            return {"status": "ready"}
        upload = (await request.form())["file"]
        return await self.together(await upload.read())


if __name__ == "__main__":
    ray.init(num_cpus=available_cpus(), include_dashboard=False, logging_level="ERROR")
    serve.start(http_options={"host": "127.0.0.1", "port": int(sys.argv[1])})
    serve.run(Detector.bind(), route_prefix="/")
    while True:
        time.sleep(60)
