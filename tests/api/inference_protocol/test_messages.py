import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import BadRequestProblem, Problem, TooLargeProblem
from api.inference_protocol.messages import InferenceRequest, encode_response, parse_request
from api.inference_protocol.tensors import OUTPUTS, files_from_bytes, to_bytes

SIZE, MOST = 4, 3
SHAPE = [2, SIZE, SIZE, 3]
PIXELS = np.arange(2 * SIZE * SIZE * 3, dtype=np.uint8).reshape(SHAPE)
TENSOR = {"name": "pixels", "datatype": "UINT8", "shape": SHAPE, "data": PIXELS.tolist()}
FILES = [b"one", b"", b"\0\xff" * 9]
BASE64 = {"name": "file", "datatype": "BYTES", "shape": [3], "data": ["b25l", "", "AP8A_wD_AP8A_wD_AP8A_wD_"]}


def parse(content: Any, binary: bytes = b"", json_length: str | None = None) -> InferenceRequest:
    text = content if isinstance(content, bytes) else json.dumps(content).encode()
    if binary:
        json_length = json_length or str(len(text))
    return parse_request(text + binary, json_length, SIZE, MOST)


def binary_tensor(data: bytes, **changes: object) -> dict[str, Any]:
    tensor = {name: value for name, value in TENSOR.items() if name != "data"}
    return {"inputs": [tensor | {"parameters": {"binary_data_size": len(data)}} | changes]}


@pytest.mark.parametrize("data", [PIXELS.tolist(), PIXELS.flatten().tolist()])
def test_pixels_as_json(data: list[Any]) -> None:
    request = parse({"inputs": [TENSOR | {"data": data}]})
    np.testing.assert_array_equal(request.pictures, PIXELS)
    assert request.id == ""
    assert request.outputs == dict.fromkeys(OUTPUTS, False)


def test_pixels_as_binary_data() -> None:
    request = parse(binary_tensor(PIXELS.tobytes()) | {"id": "7"}, PIXELS.tobytes())
    np.testing.assert_array_equal(request.pictures, PIXELS)
    assert request.id == "7"


@pytest.mark.parametrize("shape", [[3], [3, 1]])
def test_files(shape: list[int]) -> None:
    assert parse({"inputs": [BASE64 | {"shape": shape}]}).pictures == FILES
    binary = b"".join(struct.pack("<I", len(file)) + file for file in FILES)
    changes = {"name": "file", "datatype": "BYTES", "shape": shape}
    assert parse(binary_tensor(binary, **changes), binary).pictures == FILES


@given(st.lists(st.text()))
@settings(derandomize=True, deadline=None)
def test_binary_strings_are_read_as_they_were_written(texts: list[str]) -> None:
    data = to_bytes("BYTES", texts)
    assert files_from_bytes(data, len(texts)) == [text.encode() for text in texts]
    for wrong in (data[:-1], data + b"\0"):
        if wrong != data:
            with pytest.raises(BadRequestProblem, match="little-endian"):
                files_from_bytes(wrong, len(texts))


def test_outputs_that_are_asked_for() -> None:
    asked = [{"name": "label", "parameters": {"binary_data": False}}, {"name": "prediction"}]
    content = {"inputs": [TENSOR], "outputs": asked, "parameters": {"binary_data_output": True}}
    assert parse(content).outputs == {"label": False, "prediction": True}
    assert parse(content | {"outputs": []}).outputs == dict.fromkeys(OUTPUTS, True)
    assert parse(content | {"outputs": None, "parameters": None}).outputs == dict.fromkeys(OUTPUTS, False)


HUGE = 10**30
ONE = np.zeros((1, SIZE, SIZE, 3)).tolist()
REFUSED = {
    "no JSON": (b"{", "malformed"),
    "an empty body": (b"", "malformed"),
    "not UTF-8": (b'{"id": "\xff"}', "not UTF-8"),
    "an array": ([], "must be an object"),
    "no inputs": ({}, "`inputs` must be an array"),
    "inputs of numbers": ({"inputs": [1]}, "array of objects"),
    "two inputs": ({"inputs": [TENSOR, TENSOR]}, "send one input"),
    "an id that is a number": ({"inputs": [TENSOR], "id": 7}, "`id` must be a string"),
    "a long id": ({"inputs": [TENSOR], "id": "7" * 2000}, "1024 characters"),
    "parameters in an array": ({"inputs": [TENSOR], "parameters": [1]}, "must be an object"),
    "nesting": (b'{"inputs": ' + b"[" * 100_000, "values, arrays"),
    "a digit too many": (b'{"id": ' + b"1" * 5000 + b"}", "malformed"),
    "many values": (b'{"inputs": [' + b"[]," * 100_000 + b"0]}", "values, arrays"),
    "an unknown output": ({"inputs": [TENSOR], "outputs": [{"name": "x"}]}, "no output `x`"),
    "an output twice": ({"inputs": [TENSOR], "outputs": [{"name": "label"}] * 2}, "asked for twice"),
    "classification": (
        {"inputs": [TENSOR], "outputs": [{"name": "label", "parameters": {"classification": 1}}]},
        "`classification` is not supported",
    ),
    "binary_data that is a string": (
        {"inputs": [TENSOR], "outputs": [{"name": "label", "parameters": {"binary_data": "yes"}}]},
        "`binary_data` must be a boolean",
    ),
}  # fmt: skip
TENSORS = {
    "an unknown input": ({"name": "x"}, "no input `x`"),
    "another datatype": ({"datatype": "FP32"}, "datatype UINT8, not `FP32`"),
    "shared memory": ({"parameters": {"shared_memory_region": "x"}}, "is not supported"),
    "no shape": ({"shape": None}, "`shape` must be an array"),
    "an empty shape": ({"shape": []}, "must be [n, 4, 4, 3]"),
    "another size": ({"shape": [1, 8, 8, 3]}, "must be [n, 4, 4, 3]"),
    "channels first": ({"shape": [2, 3, 4, 4]}, "must be [n, 4, 4, 3]"),
    "no picture": ({"shape": [0, 4, 4, 3], "data": []}, "n of 1 or more"),
    "fewer than none": ({"shape": [-1, 4, 4, 3]}, "n of 1 or more"),
    "true pictures": ({"shape": [True, 4, 4, 3]}, "n of 1 or more"),
    "a shape of a string": ({"shape": ["2", 4, 4, 3]}, "n of 1 or more"),
    "more than fit": ({"shape": [4, 4, 4, 3]}, "3 pictures at most"),
    "many more": ({"shape": [HUGE, 4, 4, 3]}, "3 pictures at most"),
    "too few numbers": ({"data": [0] * 95}, "nor 96 numbers"),
    "ragged arrays": ({"data": [*PIXELS.tolist()[:1], PIXELS.tolist()[0][:-1]]}, "nor 96 numbers"),
    "nested too little": ({"data": [[0] * 48] * 2}, "nor 96 numbers"),
    "arrays and numbers": ({"data": [*PIXELS.tolist()[:1], 3]}, "nor 96 numbers"),
    "a number of 256": ({"data": [256] * 96}, "from 0 to 255"),
    "a negative number": ({"data": [-1] * 96}, "from 0 to 255"),
    "a huge number": ({"data": [HUGE] * 96}, "from 0 to 255"),
    "fractions": ({"data": [0.5] * 96}, "from 0 to 255"),
    "NaN": ({"data": [float("nan")] * 96}, "from 0 to 255"),
    "infinity": ({"data": [float("inf")] * 96}, "from 0 to 255"),
    "strings": ({"data": ["0"] * 96}, "from 0 to 255"),
    "null": ({"data": [None] * 96}, "from 0 to 255"),
    "no data": ({"data": None}, "`data` must be an array"),
    "data and binary data": ({"parameters": {"binary_data_size": 96}}, "not both"),
    "files that are numbers": ({"name": "file", "datatype": "BYTES", "shape": [96]}, "n pictures at most"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_requests(name: str) -> None:
    content, words = REFUSED[name]
    with pytest.raises(BadRequestProblem) as raised:
        parse(content)
    assert words in raised.value.detail


@pytest.mark.parametrize("name", TENSORS)
def test_refused_inputs(name: str) -> None:
    changes, words = TENSORS[name]
    with pytest.raises(Problem) as raised:
        parse({"inputs": [TENSOR | changes]})
    assert isinstance(raised.value, TooLargeProblem if "at most" in words else BadRequestProblem)
    assert words.replace("n pictures", f"{MOST} pictures") in raised.value.detail


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ([1, 2, 3], "3 strings"),
        (["b25l"], "3 strings"),
        (["b25l"] * 4, "3 strings"),
        (["b25l", "b25l", "§"], "`data` is not base64"),
        (["b25l", "b25l", "data:image/png,x"], "a data URL must be"),
    ],
)
def test_refused_files(data: list[Any], words: str) -> None:
    with pytest.raises(BadRequestProblem, match=words):
        parse({"inputs": [BASE64 | {"data": data}]})


@pytest.mark.parametrize(
    ("binary", "json_length", "changes", "words"),
    [
        (b"x" * 95, None, {}, "96 bytes of binary data, not 95"),
        (b"x" * 96, "0", {}, "malformed"),
        (b"x" * 96, "-1", {}, "must be a number of bytes"),
        (b"x" * 96, "1" * 30, {}, "must be a number of bytes"),
        (b"x" * 96, "²", {}, "must be a number of bytes"),
        (b"x" * 96, "9999", {}, "is 9999, and the body has"),
        (b"x" * 96, None, {"parameters": {}}, "has no parameter `binary_data_size`"),
        (b"x" * 96, None, {"parameters": {"binary_data_size": 97}}, "is 97, and 96 bytes follow"),
        (b"x" * 96, None, {"parameters": {"binary_data_size": True}}, "must be an integer"),
        (b"x" * 96, None, {"name": "file", "datatype": "BYTES", "shape": [1]}, "little-endian"),
    ],
)  # fmt: skip
def test_refused_binary_data(binary: bytes, json_length: str | None, changes: dict, words: str) -> None:
    with pytest.raises(BadRequestProblem) as raised:
        parse(binary_tensor(binary, **changes), binary, json_length)
    assert words in raised.value.detail


def test_any_body_is_parsed_or_refused() -> None:
    values = st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(sorted(TENSOR)), inner),
        max_leaves=6,
    )

    @given(st.fixed_dictionaries({name: st.just(value) | values for name, value in TENSOR.items()}))
    @settings(derandomize=True, deadline=None)
    def check(tensor: dict[str, Any]) -> None:
        try:
            assert len(parse({"inputs": [tensor]}).pictures) == tensor["shape"][0]
        except Problem:
            assert tensor != TENSOR

    check()


def test_a_response_as_json_and_as_binary_data() -> None:
    values = {"prediction": [0.25, 1.0], "label": ["FAKE", "REAL"], "in_domain": [False, True]}
    body, length = encode_response({"id": "7"}, values, dict.fromkeys(values, False))
    assert length is None
    assert json.loads(body)["outputs"][1] == {
        "name": "label",
        "datatype": "BYTES",
        "shape": [2],
        "data": ["FAKE", "REAL"],
    }
    body, length = encode_response({"id": "7"}, values, dict.fromkeys(values, True))
    assert length is not None
    sizes = [output["parameters"]["binary_data_size"] for output in json.loads(body[:length])["outputs"]]
    assert sizes == [8, 16, 2]
    expected = struct.pack("<2f", 0.25, 1.0) + b"\4\0\0\0FAKE\4\0\0\0REAL" + b"\0\1"
    assert body[length:] == expected
