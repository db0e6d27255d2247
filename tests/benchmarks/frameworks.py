"""This service beside other frameworks, all with our checkpoint, engine and preprocessing:
`python -m tests.benchmarks.frameworks`. They are in the dependency group `benchmarks`."""

import sys

from tests.benchmarks.command import run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise

HERE = "tests.benchmarks.contenders"
OTHERS = [
    Contender(
        "FastAPI, uvicorn",
        (sys.executable, "-m", "uvicorn", f"{HERE}.fastapi_app:app", "--port", "{port}", "--no-access-log"),
    ),
    Contender(
        "LitServe",
        (sys.executable, "-m", f"{HERE}.litserve_app", "{port}", "1"),
        ready="/health",
        upload="request",
    ),
    Contender(
        "BentoML",
        (sys.executable, "-m", "bentoml", "serve", f"{HERE}.bentoml_app:Detector", "--port", "{port}"),
    ),
    Contender("Ray Serve", (sys.executable, "-m", f"{HERE}.ray_app", "{port}"), path="/", ready="/"),
]

if __name__ == "__main__":
    picture = encode(noise())
    contenders = [(one, form(one.upload or "file", picture)) for one in [ours(), *OTHERS]]
    run("frameworks", contenders, connections=(1, 8, 32, 128))
