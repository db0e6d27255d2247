"""Files of figures, written whole or not at all, and long lists told in short."""

import csv
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from model.files import atomically, check_writable


def check_files(*paths: Path | None) -> None:
    """Raise OSError unless all that are not None can be written. Leaves nothing there."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder, not a file that can be written")
        check_writable(path.parent)


def write_json(path: Path, report: object) -> None:
    """For people and programs."""
    with atomically(path) as file:
        file.write(json.dumps(report, indent=2).encode() + b"\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """A table with a line of names above."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    with atomically(path) as file:
        file.write(text.getvalue().encode())


def listed(names: Sequence[str], most: int) -> str:
    """The first `most` names, and how many more there are."""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
