"""Types of arguments, for argparse, which reports the errors that they raise."""

from argparse import ArgumentTypeError
from collections.abc import Callable


def integer(least: int, most: int | None = None) -> Callable[[str], int]:
    """An integer of at least `least`, and of at most `most`."""
    to = "" if most is None else f" and at most {most}"

    def parse(text: str) -> int:
        if not (text.isascii() and text.isdecimal() and len(text) < 20):
            raise ArgumentTypeError(f"{text!r} is not an integer of at least {least}{to}")
        if int(text) < least or (most is not None and int(text) > most):
            raise ArgumentTypeError(f"{text!r} is not an integer of at least {least}{to}")
        return int(text)

    return parse


def probability(text: str) -> float:
    """A number from 0 to 1."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= 1:
        raise ArgumentTypeError(f"{text!r} is not a number from 0 to 1")
    return value
