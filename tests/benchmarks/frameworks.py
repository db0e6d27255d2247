"""Comparison with other frameworks, all with this project's checkpoint and engine:
`python -m tests.benchmarks.frameworks`. They are in the dependency group `benchmarks`.

Each runs one process per core with one engine thread; all are slower with fewer processes. Access logs are
enabled, as they are by default.
"""

import sys
from typing import Any

from model.engines.cpus import available_cpus
from tests.benchmarks.command import parser, run
from tests.benchmarks.load import form
from tests.benchmarks.pictures import PICTURES
from tests.benchmarks.servers import Contender, ours

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


def prediction(answer: Any) -> float:
    """That of a service's answer; BentoML's is a list of one."""
    return (answer[0] if isinstance(answer, list) else answer)["prediction"]


if __name__ == "__main__":
    wanted = parser("frameworks", connections=(1, 8, 32, 128))
    wanted.add_argument("--picture", choices=PICTURES, nargs="+", default=["small"], help="what is posted")
    options = wanted.parse_args()
    files = {name: PICTURES[name]() for name in options.picture}
    contenders = [ours(), *OTHERS]
    rows = run(
        options,
        [(one, {name: form(one.upload, *file) for name, file in files.items()}) for one in contenders],
    )
    for name in files:
        found = [prediction(row["answer"]) for row in rows if row["picture"] == name]
        print(f"{name}: predictions from {min(found)} to {max(found)}")
