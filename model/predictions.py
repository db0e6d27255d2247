"""The hackathon's prediction file."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from model.files import atomic_write, folder_lock
from model.metadata import Label

TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")

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

    `prediction` is the probability of `positive_class`, rounded to six digits.
    """
    ordered = sorted(rows, key=lambda row: natural_key(row[0]))
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
    return [{"image_id": name, "error": reason} for name, reason in unreadable]


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Natural sort key: 2.png comes before 10.png."""
    return [_number_or_text(part) for part in re.findall(r"\d+|\D+", name)]


def _number_or_text(part: str) -> tuple[bool, int, str]:
    if not part[0].isdecimal():
        return True, 0, part
    # Of two numbers without leading zeros the longer one is the larger; int() refuses very long ones.
    digits = part.lstrip("0")
    return False, len(digits), digits
