"""Comparison of numbers of worker processes, engine threads and request threads.

`python -m tests.benchmarks.workers`; use `taskset -c 0` for one core. The first is the default.
"""

from model.engines.cpus import available_cpus
from tests.benchmarks.command import parser, run
from tests.benchmarks.load import form
from tests.benchmarks.servers import Contender, ours
from tests.pictures import encode, noise


def configuration(workers: int, engine_threads: int, threads: int = 32) -> Contender:
    """This service with numbers of processes, and of engine and request threads in each."""
    return ours(
        f"{workers} x {engine_threads}, {threads} requests",
        CIFAKE_WORKERS=str(workers),
        OMP_NUM_THREADS=str(engine_threads),
        CIFAKE_THREADS=str(threads),
    )


if __name__ == "__main__":
    cpus = available_cpus()
    configurations = [
        configuration(cpus, 1),
        configuration(cpus, 1, 8),
        configuration(1, cpus),
        configuration(1, 1),
        configuration(cpus, cpus),
        configuration(2 * cpus, 1),
    ]
    request = form("file", encode(noise()))
    distinct = {one.name: one for one in configurations}.values()  # on one core some are equal
    options = parser("workers", connections=(1, 32)).parse_args()
    run(options, [(one, {"small": request}) for one in distinct])
