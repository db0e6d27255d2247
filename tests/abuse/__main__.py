"""Attacks on the service: `python -m tests.abuse`, or `python -m tests.abuse NAME [NUMBERS]` for one of them.

Each starts the service, prints what it sees, and ends with status 1 if the service did not hold. Linux only:
processes, memory and locks are read from /proc, and `disk` mounts a small file system, as root.
"""

import signal
import sys
from collections.abc import Callable

from tests.abuse import clients, directory, disk, jobs, large_job, mutations, openapi, signals, soak

ATTACKS: dict[str, Callable[..., int]] = {
    "clients": clients.main,
    "mutations": mutations.main,
    "jobs": jobs.main,
    "disk": disk.main,
    "signals": signals.main,
    "large-job": large_job.main,
    "directory": directory.main,
    "openapi": openapi.main,
    "soak": soak.main,
}


def main(arguments: list[str]) -> int:
    """Run the attacks of these names, each with the numbers that follow it; all of them without a name."""
    chosen: list[tuple[str, list[int]]] = []
    for argument in arguments or list(ATTACKS):
        if argument.isdigit() and chosen:
            chosen[-1][1].append(int(argument))
        elif argument in ATTACKS:
            chosen.append((argument, []))
        else:
            print(f"there is no attack {argument!r}; known are {', '.join(ATTACKS)}", file=sys.stderr)
            return 2
    status = 0
    for name, numbers in chosen:
        print(f"\n## {name}", flush=True)
        status = max(status, ATTACKS[name](*numbers))
    return status


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the service is stopped, too
    sys.exit(main(sys.argv[1:]))
