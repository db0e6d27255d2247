"""A plot of a comparison: `python -m tests.benchmarks.draw frameworks.json speed.png`."""

import argparse
import json
import statistics
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt

COLOURS = ["#1f6f8b", "#c2703d", "#7a9a3a", "#8a6bb0", "#555555", "#b0a040"]


def draw(rows: list[dict], out: Path) -> None:
    """Plot throughput and latency by service and number of connections."""
    names = list(dict.fromkeys(row["name"] for row in rows))
    counts = sorted({row["connections"] for row in rows})
    figure, (rates, times) = plt.subplots(1, 2, figsize=(11, 4.5), layout="constrained")
    for place, name in enumerate(names):
        colour = COLOURS[place % len(COLOURS)]
        for axes, figures in ((rates, ("rate",)), (times, ("p50", "p99"))):
            for number, wanted in enumerate(figures):
                by = [
                    [row[wanted] for row in rows if row["name"] == name and row["connections"] == count]
                    for count in counts
                ]
                medians = [statistics.median(values) for values in by]
                low, high = [min(values) for values in by], [max(values) for values in by]
                style = "--" if number else "-"
                label = name if wanted != "p99" else None
                axes.plot(
                    counts,
                    medians,
                    style,
                    color=colour,
                    marker="o",
                    markersize=4,
                    label=label,
                    linewidth=2 - number,
                )
                axes.fill_between(counts, low, high, color=colour, alpha=0.15, linewidth=0)
    for axes, label in ((rates, "pictures a second"), (times, "milliseconds to the answer")):
        axes.set(xscale="log", xlabel="requests at once", ylabel=label, xticks=counts, xticklabels=counts)
        axes.minorticks_off()
        axes.grid(alpha=0.3)
    rates.set_ylim(bottom=0)
    times.set_yscale("log")
    times.set_title("median, and 99 of 100 (dashed)", fontsize=10)
    rates.set_title("medians of the rounds; the band goes from the least to the most", fontsize=10)
    figure.legend(*rates.get_legend_handles_labels(), loc="outside lower center", ncols=6, frameon=False)
    figure.savefig(out, dpi=120)
    plt.close(figure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m tests.benchmarks.draw")
    parser.add_argument("rows", type=Path, help="what a comparison wrote with --json")
    parser.add_argument("out", type=Path, help="the PNG")
    options = parser.parse_args()
    rows = json.loads(options.rows.read_text())
    if len({row["picture"] for row in rows}) > 1:
        parser.error(f"{options.rows} has several pictures; measure one, by --picture")
    draw(rows, options.out)
