"""Comparison with other frameworks, all with this project's checkpoint, engine and preprocessing:
`python -m tests.benchmarks.frameworks`. They are in the dependency group `benchmarks`.

Each runs one process per core with one engine thread; all are slower with fewer processes. Access logs are
enabled, as they are by default.
"""

import sys

from model.engines.cpus import available_cpus
from tests.benchmarks.command import run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise

APPS = "tests.benchmarks.contenders"
CPUS = str(available_cpus())
ONE_THREAD = {"OMP_NUM_THREADS": "1"}
OTHERS = [
    Contender(
        "FastAPI, uvicorn",
        (
            sys.executable, "-m", "uvicorn", f"{APPS}.fastapi_app:app", "--port", "{port}", "--workers", CPUS,
        ),
        environment=ONE_THREAD,
    ),
    Contender(
        "LitServe",
        (sys.executable, "-m", f"{APPS}.litserve_app", "{port}", CPUS),
        ready="/health",
        upload="request",
        environment=ONE_THREAD,
    ),
    Contender(
        "BentoML",
        (sys.executable, "-m", "bentoml", "serve", f"{APPS}.bentoml_app:Detector", "--port", "{port}"),
        environment=ONE_THREAD,
    ),
    Contender(
        "Ray Serve",
        (sys.executable, "-m", f"{APPS}.ray_app", "{port}"),
        path="/",
        ready="/",
        environment=ONE_THREAD,
    ),
]  # fmt: skip

if __name__ == "__main__":
    picture = encode(noise())
    contenders = [(one, form(one.upload or "file", picture)) for one in [ours(), *OTHERS]]
    run("frameworks", contenders, connections=(1, 8, 32, 128))
