"""Answers of the service as it is shipped, to the pictures in api/examples; a test asks for them again."""

from typing import Any

CAT: dict[str, Any] = {
    "label": "REAL",
    "confidence": 0.999385,
    "prediction": 0.999385,
    "scores": {"REAL": 0.999385, "FAKE": 0.000615},
    "in_domain": True,
    "out_of_domain_reason": None,
    "width": 32,
    "height": 32,
    "resized": False,
    "model": "5f206c2972ef",
    "request_id": "e98704bf-f22c-4b22-b494-b32871220c06",
}
BALL_FOR_HUGGING_FACE: list[dict[str, Any]] = [
    {"label": "FAKE", "score": 0.997289},
    {"label": "REAL", "score": 0.002711},
]
PREDICTIONS: list[dict[str, Any]] = [
    {"image_id": "ball.png", "prediction": 0.002711},
    {"image_id": "cat.png", "prediction": 0.999385},
]
JOB: dict[str, Any] = {
    "id": "DY3WYMt7rnSPq4AWiJFV1QkBz5PrTRW2",
    "team": "demo",
    "state": "done",
    "created": "2026-01-31T12:00:00.000Z",
    "started": "2026-01-31T12:00:00.012Z",
    "finished": "2026-01-31T12:00:00.087Z",
    "total": 2,
    "done": 2,
    "unreadable": 0,
    "seconds_left": None,
    "links": {
        "self": "/batch/DY3WYMt7rnSPq4AWiJFV1QkBz5PrTRW2",
        "result": "/batch/DY3WYMt7rnSPq4AWiJFV1QkBz5PrTRW2/result",
        "unreadable": "/batch/DY3WYMt7rnSPq4AWiJFV1QkBz5PrTRW2/unreadable",
    },
}
PROBLEM: dict[str, Any] = {
    "type": "urn:cifake:problem:bad-request",
    "title": "Bad Request",
    "status": 400,
    "detail": "abstain must be a confidence from 0 to 1, such as 0.9, not '2'",
    "request_id": "76abed62-e748-412b-9a7e-dd3004651e72",
}
INFERENCE_REQUEST: dict[str, Any] = {
    "inputs": [
        {
            "name": "file",
            "datatype": "BYTES",
            "shape": [1],
            "data": ["<the base64 of api/examples/cat.png>"],
        }
    ],
    "outputs": [{"name": "prediction"}, {"name": "label"}],
}
INFERENCE_RESPONSE: dict[str, Any] = {
    "model_name": "cifake",
    "model_version": "5f206c2972ef",
    "id": "9dfe261d-f997-4923-b882-4997023ae607",
    "outputs": [
        {"name": "prediction", "datatype": "FP32", "shape": [1], "data": [0.999385]},
        {"name": "label", "datatype": "BYTES", "shape": [1], "data": ["REAL"]},
    ],
}
