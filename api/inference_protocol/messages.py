"""Inference requests and responses: JSON, after which the binary data of tensors may follow.

Sources: kserve/open-inference-protocol, specification/protocol/inference_rest.md; Triton's extension
`binary_tensor_data`, whose header `Inference-Header-Content-Length` is the length of the JSON.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from api.errors import BadRequestProblem, TooLargeProblem
from api.inference_protocol import tensors
from api.inference_protocol.tensors import FILE, OUTPUTS, PIXELS, Output
from api.json_body import parse_json
from api.parameters import quoted

JSON_LENGTH = "Inference-Header-Content-Length"
# They ask for another answer than the one that would be given.
UNSUPPORTED_PARAMETERS = ("shared_memory_region", "classification")
OTHER_VALUES = 1000  # of a request's JSON, besides pixels
MAX_ID_LENGTH = 1024
KINDS = {str: "a string", list: "an array", dict: "an object", int: "an integer", bool: "a boolean"}

Kind = TypeVar("Kind", str, list, dict, int, bool)


@dataclass(frozen=True)
class InferenceRequest:
    """id: empty if there was none. pictures: uint8 of shape (n, size, size, 3), or n encoded files.

    outputs: the names that were asked for, and whether each is to be binary data.
    """

    id: str
    pictures: np.ndarray | list[bytes]
    outputs: Mapping[Output, bool]


def parse_request(body: bytes, json_length: str | None, size: int, max_pictures: int) -> InferenceRequest:
    """Parse a request's body. json_length: the header of that name. size: of the network's pictures.

    Raises BadRequestProblem, or TooLargeProblem for more than `max_pictures`.
    """
    length = len(body)
    if json_length is not None:
        if not (json_length.isascii() and json_length.isdigit() and len(json_length) < 20):
            raise BadRequestProblem(f"{JSON_LENGTH} must be a number of bytes, not {quoted(json_length)}")
        length = int(json_length)
    if length > len(body):
        raise BadRequestProblem(f"{JSON_LENGTH} is {length}, and the body has {len(body)} bytes")
    values_per_picture = size * size * 4 + size + 1  # numbers, and the arrays that they are nested in
    content = parse_json(body[:length], max_pictures * values_per_picture + OTHER_VALUES)
    if not isinstance(content, dict):
        raise BadRequestProblem('the JSON must be an object, {"inputs": [...]}')
    parameters = _member(content, "parameters", dict, {})
    all_binary = _member(parameters, "binary_data_output", bool, False)
    request_id = _member(content, "id", str, "")
    if len(request_id) > MAX_ID_LENGTH:
        raise BadRequestProblem(f"`id` may have {MAX_ID_LENGTH} characters at most")
    inputs = _objects(content, "inputs")
    if len(inputs) != 1:
        raise BadRequestProblem(f"send one input, {quoted(PIXELS)} or {quoted(FILE)}, not {len(inputs)}")
    pictures = _input(inputs[0], body[length:], size, max_pictures)
    return InferenceRequest(request_id, pictures, _outputs(_objects(content, "outputs", []), all_binary))


def encode_response(
    members: Mapping[str, Any], values: Mapping[Output, Sequence[Any]], outputs: Mapping[Output, bool]
) -> tuple[bytes, int | None]:
    """The body, and the length of its JSON if binary data follows.

    members: of the JSON besides `outputs`. values: one of each output for each picture.
    """
    described: list[dict[str, Any]] = []
    binary: list[bytes] = []
    for name, as_binary in outputs.items():
        tensor: dict[str, Any] = {"name": name, "datatype": OUTPUTS[name], "shape": [len(values[name])]}
        if as_binary:
            binary.append(tensors.to_bytes(OUTPUTS[name], values[name]))
            tensor["parameters"] = {"binary_data_size": len(binary[-1])}
        else:
            tensor["data"] = list(values[name])
        described.append(tensor)
    text = json.dumps({**members, "outputs": described}).encode() + b"\n"
    return text + b"".join(binary), len(text) if binary else None


def _input(tensor: dict[str, Any], binary: bytes, size: int, max_pictures: int) -> np.ndarray | list[bytes]:
    name, datatype = _member(tensor, "name", str), _member(tensor, "datatype", str)
    expected = {PIXELS: "UINT8", FILE: "BYTES"}
    if name not in expected:
        raise BadRequestProblem(f"the model has no input {quoted(name)}: known: {quoted(*expected)}")
    if datatype != expected[name]:
        raise BadRequestProblem(f"{quoted(name)} is of the datatype {expected[name]}, not {quoted(datatype)}")
    shape = _shape(tensor, name, size, max_pictures)
    binary_size = _binary_size(tensor)
    if binary_size is None:
        if binary:
            raise BadRequestProblem(
                "binary data follows the JSON, but the input has no parameter `binary_data_size`"
            )
        data = _member(tensor, "data", list)
        if name == FILE:
            return tensors.files_from_json(data, shape[0])
        return tensors.pixels_from_json(data, shape)
    if "data" in tensor:
        raise BadRequestProblem("send `data` or the parameter `binary_data_size`, not both")
    if binary_size != len(binary):
        raise BadRequestProblem(
            f"`binary_data_size` is {binary_size}, and {len(binary)} bytes follow the JSON: its length goes "
            f"into the header {JSON_LENGTH}"
        )
    if name == FILE:
        return tensors.files_from_bytes(binary, shape[0])
    return tensors.pixels_from_bytes(binary, shape)


def _shape(tensor: dict[str, Any], name: str, size: int, max_pictures: int) -> list[int]:
    shape = _member(tensor, "shape", list)
    count = shape[0] if shape and type(shape[0]) is int else 0
    allowed = [[count, size, size, 3]] if name == PIXELS else [[count], [count, 1]]
    if count < 1 or shape not in allowed:
        wanted = f"[n, {size}, {size}, 3]" if name == PIXELS else "[n] or [n, 1]"
        raise BadRequestProblem(f"the `shape` of {quoted(name)} must be {wanted} with n of 1 or more")
    if count > max_pictures:
        raise TooLargeProblem(
            f"a request may have {max_pictures} pictures at most; send several, or a batch to /batch"
        )
    return [count, size, size, 3] if name == PIXELS else [count]


def _outputs(tensors: list[dict[str, Any]], all_binary: bool) -> dict[Output, bool]:
    """What was asked for; everything if nothing was."""
    found: dict[Output, bool] = {}
    for tensor in tensors:
        name = _member(tensor, "name", str)
        known = next((output for output in OUTPUTS if output == name), None)
        if known is None:
            raise BadRequestProblem(f"the model has no output {quoted(name)}: known: {quoted(*OUTPUTS)}")
        if known in found:
            raise BadRequestProblem(f"the output {quoted(name)} is asked for twice; ask once")
        found[known] = _member(_parameters(tensor), "binary_data", bool, all_binary)
    return found or dict.fromkeys(OUTPUTS, all_binary)


def _binary_size(tensor: dict[str, Any]) -> int | None:
    parameters = _parameters(tensor)
    return _member(parameters, "binary_data_size", int) if "binary_data_size" in parameters else None


def _parameters(tensor: dict[str, Any]) -> dict[str, Any]:
    parameters = _member(tensor, "parameters", dict, {})
    for name in UNSUPPORTED_PARAMETERS:
        if name in parameters:
            raise BadRequestProblem(f"the parameter {quoted(name)} is not supported; leave it out")
    return parameters


def _objects(content: dict[str, Any], name: str, default: list | None = None) -> list[dict[str, Any]]:
    found = _member(content, name, list, default)
    if not all(isinstance(one, dict) for one in found):
        raise BadRequestProblem(f"`{name}` must be an array of objects")
    return found


def _member(values: dict[str, Any], name: str, kind: type[Kind], default: Kind | None = None) -> Kind:
    """A member of that type; the default where it is absent or null. Raises BadRequestProblem."""
    value = values.get(name)
    if value is None:
        value = default
    if type(value) is not kind:  # true is no integer
        raise BadRequestProblem(f"the JSON's member `{name}` must be {KINDS[kind]}")
    return value
