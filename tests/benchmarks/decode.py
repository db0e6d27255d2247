"""Decoding alone, in one thread: this service, Pillow, and another checkout of this project.

`python -m tests.benchmarks.decode [--against PATH]`. Each decoder is a process of its own; in each round all
take each file in turn. Seconds are of processor time, so that other load on the machine matters less.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from model import ROOT
from tests.benchmarks import pictures
from tests.benchmarks.command import parser
from tests.benchmarks.rounds import digits, spread
from tests.pictures import encode, noise

WORKER = Path(__file__).parent / "contenders" / "decoder.py"
FILES = {
    "32x32 PNG": lambda: encode(noise()),
    "32x32 JPEG": lambda: encode(noise(), "JPEG"),
    "1024x1024 PNG": lambda: pictures.png().data,
    "4000x3000 JPEG": lambda: pictures.phone().data,
    "4000x3000 JPEG, progressive": lambda: pictures.phone(progressive=True).data,
    "4000x3000 WebP": lambda: encode(pictures.photograph(4000, 3000), "WEBP", quality=90),
}


def start(kind: str, checkout: Path) -> subprocess.Popen:
    """A process of contenders/decoder.py; it ends with its standard input."""
    environment = os.environ | {"PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-P", WORKER, kind],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
    )


def rate(decoder: subprocess.Popen, path: Path, seconds: int) -> float:
    """Pictures per second of one file."""
    decoder.stdin.write(f"{seconds} {path}\n")
    return float(decoder.stdout.readline())


def measure(decoders: dict[str, subprocess.Popen], seconds: int, rounds: int) -> list[dict[str, Any]]:
    """One row for each round, file and decoder."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in FILES}
        for name, path in paths.items():
            path.write_bytes(FILES[name]())
        for number in range(rounds):
            for picture, path in paths.items():
                for name, decoder in decoders.items():
                    found = rate(decoder, path, seconds)
                    rows.append({"name": name, "picture": picture, "round": number, "rate": found})
                    print(f"{picture:28} {name:14} {found:8.1f} a second", flush=True)
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Medians, and the first decoder's ratios to the others with the least and the most of all rounds."""
    lines = ["| picture | decoder | a second | ratio |", "|---|---|--:|--:|"]
    first, *_ = names = list(dict.fromkeys(row["name"] for row in rows))
    for picture in FILES:
        rates = {
            name: [row["rate"] for row in rows if row["name"] == name and row["picture"] == picture]
            for name in names
        }
        for name, values in rates.items():
            against = [mine / other for mine, other in zip(rates[first], values, strict=True)]
            ratio = "1" if name == first else spread(against)
            lines.append(f"| {picture} | {name} | {digits(statistics.median(values))} | {ratio} |")
    return "\n".join(lines)


def checkout(path: str) -> Path:
    """The folder of another checkout. Raises ArgumentTypeError if it is none."""
    if not (Path(path) / "model" / "images" / "decode.py").is_file():
        raise argparse.ArgumentTypeError(f"{path} is not a checkout of this project")
    return Path(path).resolve()


if __name__ == "__main__":
    wanted = parser("decode")
    wanted.set_defaults(seconds=1)
    wanted.add_argument("--against", type=checkout, metavar="PATH", help="another checkout of this project")
    options = wanted.parse_args()
    with ExitStack() as running:
        decoders = {
            "this service": running.enter_context(start("service", ROOT)),
            "Pillow": running.enter_context(start("pillow", ROOT)),
        }
        if options.against:
            decoders["other checkout"] = running.enter_context(start("service", options.against))
        rows = measure(decoders, options.seconds, options.rounds)
    print("\n" + table(rows))
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
