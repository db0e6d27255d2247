"""Checks the names in a query or a form, so that a misspelt option is an error and not ignored."""

from collections.abc import Collection, Iterable
from difflib import get_close_matches

from flask import request
from werkzeug.datastructures import MultiDict

from api.errors import BadRequestProblem

MAX_LISTED = 10
MAX_NAME_LENGTH = 80


def check_query(*known: str) -> None:
    """Check that the current request's query has only known parameters, each once.

    Raises BadRequestProblem.
    """
    if request.args:
        check_names(request.args, known, "query parameter")
        check_unique(request.args)


def flag(name: str) -> bool | None:
    """The value of a query parameter that is 0 or 1, or None without it. Raises BadRequestProblem."""
    text = request.args.get(name)
    if text not in (None, "0", "1"):
        raise BadRequestProblem(f"{name} must be 0 or 1, not {quoted(text)}")
    return None if text is None else text == "1"


def check_names(sent: Iterable[str], known: Collection[str], kind: str) -> None:
    """Check that the names that were sent are known. kind: what they are names of.

    Raises BadRequestProblem with the first that is not, the known name most like it, and all of both.
    """
    for name in sent:
        if name not in known:
            similar = get_close_matches(name[:MAX_NAME_LENGTH].lower(), known, 1)
            hint = f"did you mean {quoted(*similar)}? " if similar else ""
            raise BadRequestProblem(
                f"{request.path} has no {kind} {quoted(name)}: {hint}known: {quoted(*known)}; "
                f"sent: {quoted(*sent)}"
            )


def check_unique(*sent: MultiDict[str, str]) -> None:
    """Check that each name was sent once in all. Raises BadRequestProblem."""
    names = [name for values in sent for name, _ in values.items(multi=True)]
    for name in names:
        if names.count(name) > 1:
            raise BadRequestProblem(f"{quoted(name)} is given {names.count(name)} times; give it once")


def quoted(*names: str) -> str:
    """Names for an error message, which are limited in number and length because a client chose them."""
    shown = [f"`{name[:MAX_NAME_LENGTH]}`" for name in names[:MAX_LISTED]]
    return ", ".join(shown + ["..."] * (len(names) > MAX_LISTED))
