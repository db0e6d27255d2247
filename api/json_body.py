"""Parses JSON in request bodies, within limits, and the base64 in it."""

import base64
import binascii
import json
from typing import Any

from api.errors import BadRequestProblem

URL_SAFE = str.maketrans("-_", "+/")


def parse_json(data: bytes, max_values: int) -> Any:
    """The JSON in `data`. Raises BadRequestProblem.

    max_values: limit of the arrays, objects and their members together, each of which takes up to 100 bytes
    of memory and as few as 3 of JSON. They are counted by commas and brackets, also those in strings.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > max_values:
        raise BadRequestProblem(f"the JSON may have {max_values} values, arrays and objects at most")
    try:
        return json.loads(data)
    except RecursionError as error:
        raise BadRequestProblem("the JSON is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise BadRequestProblem(
            f"the JSON is not {error.encoding.upper()}: {error.reason} at byte {error.start}; the bytes of a "
            "picture go with another Content-Type, such as image/png"
        ) from error
    except ValueError as error:
        raise BadRequestProblem(f"the JSON is malformed: {error}") from error


def decode_base64(text: str, name: str) -> bytes:
    """The bytes of base64 or a data URL; URL-safe and without padding too (RFC 4648, sections 3.2 and 5).

    name: of the member, for the message of the BadRequestProblem that is raised for anything else.
    """
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise BadRequestProblem("a data URL must be `data:<type>;base64,<data>`")
    try:
        text = "".join(text.split()).rstrip("=").translate(URL_SAFE)
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadRequestProblem(f"`{name}` is not base64: {error}") from error
