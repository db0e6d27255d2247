"""JSON and CSV reports, written atomic_write, and lists shortened for messages."""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from model.files import atomic_write, check_writable


def check_files(*paths: Path | None) -> None:
    """Raise OSError if one of the files cannot be written; None is skipped. Leaves no file behind."""
    for path in paths:
        if path is None:
            continue
        if path.is_dir():
            raise IsADirectoryError(f"{path} is a folder, not a file")
        check_writable(path.parent)


@contextmanager
def torch_writes(path: Path) -> Iterator[None]:
    """Raise OSError with the path where `torch.save` cannot write; it may raise RuntimeError."""
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise OSError(f"{path} could not be written, is the disk full? {error}") from error


def write_json(path: Path, report: object) -> None:
    """Write a JSON file, indented."""
    with atomic_write(path) as file:
        file.write(json.dumps(report, indent=2).encode() + b"\n")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Write a CSV file with a header line."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(header)
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def truncate_list(names: Sequence[str], length: int) -> str:
    """The first `length` names, and how many more there are."""
    more = f" and {len(names) - length} more" if len(names) > length else ""
    return f"{', '.join(names[:length])}{more}"
