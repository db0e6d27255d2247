"""The model's input and output tensors, and their data as JSON and in the binary tensor data extension.

Binary data is in row-major order and little-endian; a uint32 with its length precedes each element of BYTES.
"""

import struct
from collections.abc import Sequence
from itertools import chain
from math import prod
from typing import Any, Literal

import numpy as np

from api.errors import BadRequestProblem
from api.json_body import decode_base64

PIXELS, FILE = "pixels", "file"

Output = Literal["prediction", "label", "confidence", "in_domain", "out_of_domain_reason"]

OUTPUTS: dict[Output, str] = {
    "prediction": "FP32",  # P(REAL)
    "label": "BYTES",
    "confidence": "FP32",
    "in_domain": "BOOL",  # false where the model cannot tell
    "out_of_domain_reason": "BYTES",  # empty in the domain, else `size`, `content` or `unknown`
}
"""Names and datatypes of the outputs, each of shape (n,)."""


def metadata(size: int) -> dict[str, list[dict[str, Any]]]:
    """The tensors as the model's metadata tells them; a request has one input. size: the network's."""
    inputs = [(PIXELS, "UINT8", [-1, size, size, 3]), (FILE, "BYTES", [-1])]
    outputs = [(name, datatype, [-1]) for name, datatype in OUTPUTS.items()]
    return {
        kind: [{"name": name, "datatype": datatype, "shape": shape} for name, datatype, shape in tensors]
        for kind, tensors in (("inputs", inputs), ("outputs", outputs))
    }


def pixels_from_json(data: list[Any], shape: Sequence[int]) -> np.ndarray:
    """UINT8 from nested or flat arrays of numbers. Raises BadRequestProblem."""
    nested = bool(data) and isinstance(data[0], list)
    rows: list[Any] = [data]
    for length in shape if nested else [prod(shape)]:
        if not all(isinstance(row, list) and len(row) == length for row in rows):
            raise BadRequestProblem(
                f"`data` does not have the shape {list(shape)}, nor {prod(shape)} numbers"
            )
        rows = list(chain.from_iterable(rows))
    try:
        return pixels_from_bytes(bytes(rows), shape)
    except (TypeError, ValueError) as error:
        raise BadRequestProblem(f"the `data` of UINT8 must be integers from 0 to 255: {error}") from error


def pixels_from_bytes(data: bytes, shape: Sequence[int]) -> np.ndarray:
    """UINT8 from binary data. Raises BadRequestProblem."""
    if len(data) != prod(shape):
        raise BadRequestProblem(
            f"UINT8 of the shape {list(shape)} is {prod(shape)} bytes of binary data, not {len(data)}"
        )
    return np.frombuffer(data, np.uint8).reshape(shape)


def files_from_json(data: list[Any], count: int) -> list[bytes]:
    """BYTES from `count` strings in base64. Raises BadRequestProblem."""
    strings = [text for text in data if isinstance(text, str)]
    if len(strings) != len(data) or len(data) != count:
        raise BadRequestProblem(f"the `data` of this input must be {count} strings, each a file in base64")
    return [decode_base64(text, "data") for text in strings]


def files_from_bytes(data: bytes, count: int) -> list[bytes]:
    """BYTES from binary data of `count` elements. Raises BadRequestProblem."""
    files, at = [], 0
    for _ in range(count):
        if len(data) < at + 4:
            break
        [length] = struct.unpack_from("<I", data, at)
        files.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    if len(files) != count or at != len(data):
        raise BadRequestProblem(
            f"the binary data of BYTES must be {count} elements, each after its length as a little-endian "
            "uint32"
        )
    return files


def to_bytes(datatype: str, values: Sequence[Any]) -> bytes:
    """Binary data of floats (FP32), booleans (BOOL) or strings (BYTES, in UTF-8)."""
    if datatype == "FP32":
        return np.array(values, "<f4").tobytes()
    if datatype == "BOOL":
        return bytes(values)
    encoded = [text.encode() for text in values]
    return b"".join(struct.pack("<I", len(text)) + text for text in encoded)
