"""What the page's scripts have in quotes, above all its words, read without a browser."""

import json
import re
from itertools import pairwise
from typing import Any

from model import ROOT

STATIC = ROOT / "api" / "static"
SCRIPTS = {path.name: path.read_text() for path in sorted(STATIC.glob("*.js"))}

EXPRESSION = r"\$\{((?:[^{}`]|`[^`]*`|\{[^{}]*\})*)\}"
"""Of a template literal; in it there may be another one."""
TOKEN = re.compile(
    r"""(?P<skipped>\s+|//[^\n]*|/\*.*?\*/)|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'"""
    rf"""|`(?:\\.|{EXPRESSION}|[^`\\])*`|[\w$]+|.""",
    re.DOTALL,
)
"""Of JavaScript in which no regular expression has a quote or two slashes: enough for these files."""


def tokens(code: str) -> list[str]:
    """The tokens of a script without its comments; after a template literal come those of its expressions."""
    found = []
    for match in TOKEN.finditer(code):
        if not match["skipped"]:
            found.append(match[0])
        if match[0].startswith("`"):
            found += [
                token for expression in re.findall(EXPRESSION, match[0]) for token in tokens(expression)
            ]
    return found


def strings(code: str) -> list[str]:
    """What a script has in quotes."""
    return [token[1:-1] for token in tokens(code) if token[0] in "\"'`" and len(token) > 1]


def _read() -> dict[str, Any]:
    """`export const texts = {…}` of texts.js, which has nothing but objects, arrays and added strings."""
    code = SCRIPTS["texts.js"]
    found = tokens(code[code.index("export const texts =") :])
    found = found[found.index("{") : found.index(";")]
    parts = []
    for token, following in pairwise([*found, ""]):
        if token[0] == "'" or (following == ":" and token[0] != '"'):
            token = json.dumps(token.strip("'"), ensure_ascii=False)
        if not (token == "," and following in ("}", "]")):
            parts.append(token)
    return json.loads(re.sub(r'" *\+ *"', "", " ".join(parts)))


TEXTS = _read()


def text(key: str, **values: object) -> str:
    """The words of a key such as `card.remove`, with `{name}` replaced by the value of that name."""
    entry: Any = TEXTS
    for name in key.split("."):
        entry = entry[int(name)] if isinstance(entry, list) else entry[name]
    if isinstance(entry, dict):
        entry = entry["one" if values["count"] == 1 else "other"]
    return re.sub(r"\{(\w+)\}", lambda match: str(values[match[1]]), entry)
