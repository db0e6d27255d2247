"""Where the walk takes place, and how it checks: a folder, the commands run in it, what they say."""

import json
import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

DATA = "data/hackathon"


class WalkError(Exception):
    """What does not hold, as a sentence."""


class Output(NamedTuple):
    """How a command ended, and what it printed."""

    status: int
    out: str
    err: str


@dataclass
class Place:
    """A folder with `data/hackathon`, and how a command of `python -m training` is run in it."""

    folder: Path
    run: Callable[[list[str], Path], Output]

    def training(self, *arguments: str) -> str:
        """What a command prints, its lines joined. Raises WalkError if it fails."""
        done = self.run(list(arguments), self.folder)
        check(done.status == 0, f"`{shlex.join(arguments)}` fails: {done.err.strip()}")
        return joined(done.out)

    def json(self, path: str) -> Any:
        """The contents of a JSON file in the folder."""
        check((self.folder / path).is_file(), f"there is no {path}")
        return json.loads((self.folder / path).read_bytes())

    def names(self, folder: str) -> list[str]:
        """The names of the pictures in a folder of the data."""
        return [path.name for path in (self.folder / DATA / folder).iterdir()]


def check(holds: bool, otherwise: str) -> None:
    """Raise WalkError unless something holds."""
    if not holds:
        raise WalkError(otherwise)


def find(pattern: str, text: str, who: str) -> re.Match[str]:
    """Where a text says something, as a regular expression. Raises WalkError if it does not."""
    found = re.search(pattern, text)
    if found is None:
        raise WalkError(f"{who} does not say {pattern!r}, but: {text}")
    return found


def joined(text: str) -> str:
    """A text with every break and run of spaces as one space, as a reader takes it."""
    return " ".join(text.split())
