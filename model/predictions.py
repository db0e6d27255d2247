"""The hackathon's file of predictions: whose it is, in what order, and of which label."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

from model.files import atomically, locked
from model.metadata import Label

TEAM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}")

Row = tuple[str, float]
"""A picture's file name and its P(REAL) in [0, 1]."""


class TeamNameError(ValueError):
    """The name cannot be a team's, because files are named after it."""


def checked_team(name: str) -> str:
    """The name as it came. Raises TeamNameError for one that could lead elsewhere or not be read."""
    if not TEAM.fullmatch(name):
        raise TeamNameError(
            "a team's name is 1 to 64 letters, digits, spaces, dots, dashes or underscores, the first a "
            "letter or digit"
        )
    return name


def checked_positive_class(word: str) -> Label:
    """REAL or FAKE: the label whose probability a file of predictions gives. Raises ValueError."""
    for label in get_args(Label):
        if word == label:
            return label
    raise ValueError(f"positive_class must be REAL or FAKE, not {word!r}")


def encode(rows: Iterable[Row], positive_class: Label = "REAL") -> bytes:
    """The file's JSON, `[{"image_id": "1.png", "prediction": 0.00025}, ...]`, in natural order of names.

    `prediction` is the probability of `positive_class`, to six digits.
    """
    ordered = sorted(rows, key=lambda row: natural_key(row[0]))
    return json.dumps(
        [
            {"image_id": name, "prediction": round(p if positive_class == "REAL" else 1 - p, 6)}
            for name, p in ordered
        ]
    ).encode()


def write(folder: Path, team: str, body: bytes, unreadable: list[tuple[str, str]]) -> Path:
    """Write `TEAM_prediction.json`, and `TEAM_unreadable.json` if (name, reason) of any are given.

    Both are of one upload, also where several are written at once: those wait for one another, and while the
    predictions change there is no list beside them. Returns the path of the predictions.
    """
    path, errors = folder / f"{team}_prediction.json", folder / f"{team}_unreadable.json"
    with locked(folder):
        errors.unlink(missing_ok=True)  # of an earlier batch of this team
        with atomically(path) as file:
            file.write(body)
        if unreadable:
            with atomically(errors) as file:
                file.write(json.dumps(unreadable_rows(unreadable)).encode())
    return path


def unreadable_rows(unreadable: Iterable[tuple[str, str]]) -> list[dict[str, str]]:
    """(name, reason) as they stand in JSON."""
    return [{"image_id": name, "error": reason} for name, reason in unreadable]


def natural_key(name: str) -> list[tuple[bool, int, str]]:
    """Sort key by which 2.png comes before 10.png."""
    return [_number_or_text(part) for part in re.findall(r"\d+|\D+", name)]


def _number_or_text(part: str) -> tuple[bool, int, str]:
    if not part[0].isdecimal():
        return True, 0, part
    # Of two numbers without leading zeros the longer one is the larger; int() refuses very long ones.
    digits = part.lstrip("0")
    return False, len(digits), digits
