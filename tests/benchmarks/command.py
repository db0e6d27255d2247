"""Command-line options and output of all comparisons."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

from tests.benchmarks.load import Request
from tests.benchmarks.rounds import measure, table
from tests.benchmarks.servers import Contender


def parser(name: str) -> argparse.ArgumentParser:
    """A parser with the common options."""
    options = argparse.ArgumentParser(f"python -m tests.benchmarks.{name}")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--json", type=Path, help="write every measurement there")
    return options


def run(name: str, contenders: Sequence[tuple[Contender, Request]], connections: Sequence[int]) -> None:
    """Measure, print a table relative to the first contender, and write all rows if --json is given."""
    wanted = parser(name)
    wanted.add_argument("--connections", type=int, nargs="+", default=connections)
    options = wanted.parse_args()
    rows = measure(contenders, options.connections, options.seconds, options.rounds)
    print("\n" + table(rows, contenders[0][0].name))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
