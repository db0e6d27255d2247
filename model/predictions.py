"""The hackathon's prediction file."""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from model.files import atomic_write, folder_lock
from model.metadata import Label

TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")
_NUMBER = re.compile("[0-9]+")

Row = tuple[str, float]
"""File name and P(REAL) in [0, 1] of an image."""


class TeamNameError(ValueError):
    """Not a valid team name."""


def validate_team(name: str) -> str:
    """Return the name if it can be part of a file name, else raise TeamNameError."""
    if not TEAM.fullmatch(name):
        raise TeamNameError(
            "a team's name is 1 to 64 letters, digits, spaces, dots, dashes or underscores, the first a "
            "letter or digit"
        )
    return name


def validate_positive_class(name: str) -> Label:
    """Return REAL or FAKE, the label whose probability a prediction file contains, else raise ValueError."""
    for label in get_args(Label):
        if name == label:
            return label
    raise ValueError(f"positive_class must be REAL or FAKE, not {name!r}")


def encode(rows: Iterable[Row], positive_class: Label = "REAL") -> bytes:
    """The file's JSON, `[{"image_id": "1.png", "prediction": 0.00025}, ...]`, in natural sort order.

    `prediction` is the probability of `positive_class`, rounded to six digits. Raises ValueError if two rows
    have the same name.
    """
    ordered = sorted(((image_id(name), p) for name, p in rows), key=lambda row: natural_key(row[0]))
    counts = Counter(name for name, _ in ordered)
    if len(counts) < len(ordered):
        raise ValueError(f"two pictures are named {max(counts, key=lambda name: counts[name])!r}")
    return json.dumps(
        [
            {"image_id": name, "prediction": round(p if positive_class == "REAL" else 1 - p, 6)}
            for name, p in ordered
        ]
    ).encode()


def write(folder: Path, team: str, body: bytes, unreadable: list[tuple[str, str]]) -> Path:
    """Write `TEAM_prediction.json`, and `TEAM_unreadable.json` if any (name, reason) are given.

    Concurrent calls are serialized, so that both files belong to the same upload. Returns the path of the
    predictions.
    """
    path, errors = folder / f"{team}_prediction.json", folder / f"{team}_unreadable.json"
    with folder_lock(folder):
        errors.unlink(missing_ok=True)  # from an earlier batch
        with atomic_write(path) as file:
            file.write(body)
        if unreadable:
            with atomic_write(errors) as file:
                file.write(json.dumps(unreadable_rows(unreadable)).encode())
    return path


def unreadable_rows(unreadable: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """(name, reason) as JSON objects."""
    return [{"image_id": image_id(name), "error": reason} for name, reason in unreadable]


def image_id(name: str) -> str:
    """A file's name as text that is valid in JSON (RFC 8259, section 8.2).

    Python decodes bytes that are not UTF-8 to surrogates (PEP 383); then the name is taken as Latin-1.
    """
    try:
        encoded = name.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that stands for no byte, as Windows allows in names
        encoded = name.encode("utf-8", "surrogatepass")
    try:
        return encoded.decode()
    except UnicodeDecodeError:
        return encoded.decode("latin-1")


def natural_key(name: str) -> str:
    """Natural sort key: 2.png comes before 10.png. It is not longer than three times the name."""
    return _NUMBER.sub(_number_key, name)


def _number_key(number: re.Match[str]) -> str:
    # Numbers come before text. Of two without leading zeros the one with more digits is the larger.
    digits = number[0].lstrip("0")
    return f"\0{chr(min(len(digits), sys.maxunicode))}{digits}"
