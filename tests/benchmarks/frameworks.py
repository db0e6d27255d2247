"""This service beside other frameworks, all with our checkpoint, engine and preprocessing:
`python -m tests.benchmarks.frameworks`. They are in the dependency group `benchmarks`.

Each has a process for each core, with one engine thread: with fewer processes all of them are slower.
Each writes its access log, as they do unless told otherwise.
"""

import sys

from model.engines.cpus import available_cpus
from tests.benchmarks.command import run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise

HERE = "tests.benchmarks.contenders"
CPUS = str(available_cpus())
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
OTHERS = [
    Contender(
        "FastAPI, uvicorn",
        (
            sys.executable, "-m", "uvicorn", f"{HERE}.fastapi_app:app", "--port", "{port}", "--workers", CPUS,
        ),
        environment=ONE_THREAD,
    ),
    Contender(
        "LitServe",
        (sys.executable, "-m", f"{HERE}.litserve_app", "{port}", CPUS),
        ready="/health",
        upload="request",
        environment=ONE_THREAD,
    ),
    Contender(
        "BentoML",
        (sys.executable, "-m", "bentoml", "serve", f"{HERE}.bentoml_app:Detector", "--port", "{port}"),
        environment=ONE_THREAD,
    ),
    Contender(
        "Ray Serve",
        (sys.executable, "-m", f"{HERE}.ray_app", "{port}"),
        path="/",
        ready="/",
        environment=ONE_THREAD,
    ),
]  # fmt: skip

if __name__ == "__main__":
    picture = encode(noise())
    contenders = [(one, form(one.upload or "file", picture)) for one in [ours(), *OTHERS]]
    run("frameworks", contenders, connections=(1, 8, 32, 128))
