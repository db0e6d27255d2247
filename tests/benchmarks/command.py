"""Command-line options and output of all comparisons."""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.benchmarks.rounds import Entry, measure, table


def parser(name: str, connections: Sequence[int] = ()) -> argparse.ArgumentParser:
    """A parser with the common options; with --connections if it has a default."""
    options = argparse.ArgumentParser(f"python -m tests.benchmarks.{name}")
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=int, default=5, help="of each measurement")
    options.add_argument("--json", type=Path, help="write every measurement there")
    if connections:
        options.add_argument("--connections", type=int, nargs="+", default=connections)
    return options


def run(options: argparse.Namespace, entries: Sequence[Entry]) -> list[dict[str, Any]]:
    """Measure, print a table relative to the first contender for each picture, and return all rows.

    They are written as well if --json is given.
    """
    rows = measure(entries, options.connections, options.seconds, options.rounds)
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    for picture in dict.fromkeys(row["picture"] for row in rows):
        of_picture = [row for row in rows if row["picture"] == picture]
        print(f"\n{picture}\n\n{table(of_picture, entries[0][0].name)}")
    return rows
