"""Repeated measurements of all contenders, interleaved so that other load affects all of them."""

import statistics
from collections.abc import Sequence
from typing import Any

from tests.benchmarks.load import Load, Request, load
from tests.benchmarks.servers import Contender, running


def measure(
    contenders: Sequence[tuple[Contender, Request]], connections: Sequence[int], seconds: int, rounds: int
) -> list[dict[str, Any]]:
    """One row for each contender, number of connections and round.

    Each is started anew in each round and runs alone: some keep the machine busy while they wait.
    """
    rows: list[dict[str, Any]] = []
    for number in range(rounds):
        for contender, request in contenders:
            with running(contender) as server:
                load(server.url + contender.path, request, 8, 2)  # warm-up
                for count in connections:
                    found: Load = load(server.url + contender.path, request, count, seconds)
                    rows.append(
                        {
                            "name": contender.name,
                            "connections": count,
                            "round": number,
                            "megabytes": server.megabytes(),
                            "started": server.started,
                            **vars(found),
                        }
                    )
                    print(
                        f"{contender.name:24} {count:4} at once  {found.rate:8.1f} a second  "
                        f"p50 {found.p50:8.2f} ms  p99 {found.p99:8.2f} ms  failed {found.failed}",
                        flush=True,
                    )
    return rows


def ratios(rows: list[dict[str, Any]], first: str) -> dict[tuple[str, int], list[float]]:
    """By other contender and connections: `first`'s rate over its own, round by round."""
    by = {(row["name"], row["connections"], row["round"]): row["rate"] for row in rows}
    found: dict[tuple[str, int], list[float]] = {}
    for (name, count, number), value in by.items():
        if name != first:
            found.setdefault((name, count), []).append(by[first, count, number] / value)
    return found


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
            spread = against.get((name, count))
            ratio = "1"
            if spread:
                ratio = f"{statistics.median(spread):.2f} ({min(spread):.2f} to {max(spread):.2f})"
            lines.append(
                f"| {count} | {name} | {median['rate']:.0f} | {median['p50']:.1f} | {median['p99']:.1f} "
                f"| {median['megabytes']:.0f} | {median['started']:.1f} | {ratio} |"
            )
    return "\n".join(lines)
