"""Repeated measurements of all contenders, interleaved so that other load affects all of them."""

import math
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from tests.benchmarks.load import Load, Request, ask, load
from tests.benchmarks.servers import Contender, running

PAUSE = 1  # seconds, in which the requests are answered that wrk abandons when its time is over

Entry = tuple[Contender, Mapping[str, Request]]
"""A contender, and by the name of each picture the request that posts it."""


def measure(
    entries: Sequence[Entry], connections: Sequence[int], seconds: int, rounds: int
) -> list[dict[str, Any]]:
    """One row for each contender, picture, number of connections and round.

    Each is started anew in each round and runs alone: some keep the machine busy while they wait. Raises
    urllib.error.HTTPError if a contender refuses a picture.
    """
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        for contender, requests in entries:
            with running(contender) as server:
                url = server.url + contender.path
                for picture, request in requests.items():
                    answer = ask(url, request)
                    load(url, request, 8, 2)  # warm-up
                    for count in connections:
                        time.sleep(PAUSE)
                        found: Load = load(url, request, count, seconds)
                        rows.append(
                            {
                                "name": contender.name,
                                "picture": picture,
                                "connections": count,
                                "round": number,
                                "megabytes": server.megabytes(),
                                "started": server.started,
                                "answer": answer,
                                **vars(found),
                            }
                        )
                        print(
                            f"{contender.name:24} {picture:8} {count:4} at once  {found.rate:8.1f} a second  "
                            f"p50 {found.p50:8.2f} ms  p99 {found.p99:8.2f} ms  "
                            f"busy {found.busy}  failed {found.failed}",
                            flush=True,
                        )
    return rows


def ratios(rows: list[dict[str, Any]], first: str) -> dict[tuple[str, int], list[float]]:
    """By other contender and connections: `first`'s rate over its own, round by round; infinite over 0."""
    by = {(row["name"], row["connections"], row["round"]): row["rate"] for row in rows}
    found: dict[tuple[str, int], list[float]] = {}
    for (name, count, number), value in by.items():
        if name != first:
            found.setdefault((name, count), []).append(
                by[first, count, number] / value if value else math.inf
            )
    return found


def spread(values: Sequence[float]) -> str:
    """The median, with the least and the most."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def digits(rate: float) -> str:
    """A rate without decimals, or with one below 100."""
    return f"{rate:.1f}" if rate < 100 else f"{rate:.0f}"


def table(rows: list[dict[str, Any]], first: str) -> str:
    """Medians, and `first`'s ratios to the others with the least and the most of all rounds."""
    lines = ["| at once | service | a second | p50 ms | p99 ms | memory MB | ready s | ratio |"]
    lines.append("|--:|---|--:|--:|--:|--:|--:|--:|")
    against = ratios(rows, first)
    for count in sorted({row["connections"] for row in rows}):
        for name in dict.fromkeys(row["name"] for row in rows):
            mine = [row for row in rows if row["name"] == name and row["connections"] == count]
            median = {
                figure: statistics.median(row[figure] for row in mine)
                for figure in ("rate", "p50", "p99", "megabytes", "started")
            }
            ratio = spread(against[name, count]) if (name, count) in against else "1"
            lines.append(
                f"| {count} | {name} | {digits(median['rate'])} | {median['p50']:.1f} | {median['p99']:.1f} "
                f"| {median['megabytes']:.0f} | {median['started']:.1f} | {ratio} |"
            )
    return "\n".join(lines)
