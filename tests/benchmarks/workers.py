"""Ways to share out the cores among processes, and in each among Python and its engine.

`python -m tests.benchmarks.workers`; under `taskset -c 0` for one core. The first is the default.
"""

from model.engines.cpus import available_cpus
from tests.benchmarks.command import run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise


def way(workers: int, engine_threads: int, threads: int = 32) -> Contender:
    """This service with so many processes, and in each engine threads in a crowd and requests at once."""
    return ours(
        f"{workers} x {engine_threads}, {threads} requests",
        CIFAKE_WORKERS=str(workers),
        OMP_NUM_THREADS=str(engine_threads),
        CIFAKE_THREADS=str(threads),
    )


if __name__ == "__main__":
    cpus = available_cpus()
    ways = [way(cpus, 1), way(cpus, 1, 8), way(1, cpus), way(1, 1), way(cpus, cpus), way(2 * cpus, 1)]
    request = form("file", encode(noise()))
    different = {one.name: one for one in ways}.values()  # on one core some are the same
    run("workers", [(one, request) for one in different], connections=(1, 32))
