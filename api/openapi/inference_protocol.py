"""Operations and schemas of the Open Inference Protocol, `/v2`."""

from api.inference_protocol.messages import JSON_LENGTH, MAX_ID_LENGTH
from api.inference_protocol.tensors import FILE, OUTPUTS, PIXELS
from api.openapi import examples
from api.openapi.operation import BINARY, JSON, UPLOADED, Operation, Paths, links, operation, parameter, path
from api.openapi.responses import problems, response
from api.openapi.schemas import (
    BOOLEAN,
    COUNT,
    DIGEST_START,
    FILE_BYTES,
    STRING,
    Schema,
    array,
    described,
    record,
    ref,
)

TAG = "Open Inference Protocol"
MODEL = "/v2/models/cifake"


def inference_protocol_paths(max_pictures: int) -> Paths:
    """The operations by paths and methods. max_pictures: of a request."""
    live, ready = record({"live": {"const": True}}), record({"ready": {"const": True}})
    paths: Paths = {
        "/v2": {"get": _get("server_metadata", "The server's extensions", ref("ServerMetadata"))},
        "/v2/health/live": {"get": _get("server_live", "Whether the process answers", live)},
        "/v2/health/ready": {"get": _get("server_ready", "Whether the model answers", ready)},
    }
    for name in ("live", "ready"):
        paths[f"/v2/health/{name}"]["get"]["security"] = []
    of_model, of_version = _model_paths(MODEL, "", max_pictures), _version_paths(max_pictures)
    versions = [one["operationId"] for operations in of_version.values() for one in operations.values()]
    metadata = of_model[MODEL]["get"]["responses"]["200"]
    metadata["links"] = links("version", "$response.body#/versions/0", *versions)
    return paths | of_model | of_version


def _model_paths(start: str, suffix: str, max_pictures: int) -> Paths:
    ready = record({"name": {"const": "cifake"}, "ready": {"const": True}})
    return {
        start: {"get": _get(f"model_metadata{suffix}", "The model's tensors", ref("ModelMetadata"))},
        f"{start}/ready": {"get": _get(f"model_ready{suffix}", "Whether the model answers", ready)},
        f"{start}/infer": {"post": _infer(f"infer{suffix}", max_pictures)},
    }


def _version_paths(max_pictures: int) -> Paths:
    """The same for the version that is served, the first 12 digits of its digest; 404 for others."""
    paths = _model_paths(f"{MODEL}/versions/{{version}}", "_of_version", max_pictures)
    for operations in paths.values():
        for one in operations.values():
            one.setdefault("parameters", []).append(path("version", STRING))
            one["responses"] |= problems(404)
    return paths


def _get(name: str, summary: str, schema: Schema) -> Operation:
    return operation(name, TAG, summary, {"200": response(summary, {JSON: schema})}, (400,))


def _infer(name: str, max_pictures: int) -> Operation:
    content = {
        JSON: {"schema": ref("InferenceResponse"), "example": examples.INFERENCE_RESPONSE},
        BINARY: FILE_BYTES,
    }
    answer = response("the outputs, as JSON or as JSON with binary data after it", content)
    answer["headers"][JSON_LENGTH] = {"schema": COUNT, "description": "bytes of JSON before binary data"}
    text = "bytes of JSON before binary data (Triton's extension binary_tensor_data)"
    return operation(
        name,
        TAG,
        f"Predictions for at most {max_pictures} pictures, as pixels or files; together, files may have the "
        "bytes and pixels of one at `/predict`",
        {"200": answer},
        UPLOADED,
        parameters=[parameter("header", JSON_LENGTH, COUNT, text)],
        body={
            JSON: {"schema": ref("InferenceRequest"), "example": examples.INFERENCE_REQUEST},
            BINARY: {"schema": {}},
        },
    )


def inference_protocol_schemas(size: int, max_pictures: int) -> dict[str, Schema]:
    """The schemas by their names. size: of the network's pictures. max_pictures: of a request."""
    count = {"type": "integer", "minimum": 1, "maximum": max_pictures}
    parameters = {"type": "object", "properties": {"binary_data_size": COUNT}}
    pixels: dict[str, Schema] = {
        "name": {"const": PIXELS},
        "datatype": {"const": "UINT8"},
        "shape": {
            "type": "array",
            "prefixItems": [count, {"const": size}, {"const": size}, {"const": 3}],
            "minItems": 4,
            "items": False,
        },
    }
    files: dict[str, Schema] = {
        "name": {"const": FILE},
        "datatype": {"const": "BYTES"},
        "shape": {"type": "array", "prefixItems": [count, {"const": 1}], "minItems": 1, "items": False},
    }
    tensor_inputs = [
        record(
            pixels,
            {
                "data": described(array({}), "integers from 0 to 255, nested or flat, as `shape` says"),
                "parameters": parameters,
            },
            closed=False,
        ),
        record(
            files,
            {"data": array(described(STRING, "a file in base64")), "parameters": parameters},
            closed=False,
        ),
    ]
    shape = array({"type": "integer"})
    tensor = {"name": STRING, "datatype": STRING, "shape": shape}
    data = array({"type": ["number", "string", "boolean"]})
    return {
        "InferenceRequest": record(
            {"inputs": array({"oneOf": tensor_inputs}, minItems=1, maxItems=1)},
            {
                "id": {"type": "string", "maxLength": MAX_ID_LENGTH},
                "parameters": {"type": "object", "properties": {"binary_data_output": BOOLEAN}},
                "outputs": array(
                    record(
                        {"name": {"enum": list(OUTPUTS)}},
                        {"parameters": {"type": "object", "properties": {"binary_data": BOOLEAN}}},
                        closed=False,
                    ),
                    maxItems=len(OUTPUTS),
                ),
            },
            closed=False,
        ),
        "InferenceResponse": record(
            {
                "model_name": STRING,
                "model_version": DIGEST_START,
                "id": STRING,
                "outputs": array(
                    record(tensor, {"data": data, "parameters": record({"binary_data_size": COUNT})})
                ),
            }
        ),
        "ServerMetadata": record({"name": STRING, "version": STRING, "extensions": array(STRING)}),
        "ModelMetadata": record(
            {
                "name": STRING,
                "versions": array(DIGEST_START),
                "platform": STRING,
                "inputs": array(record(tensor)),
                "outputs": array(record(tensor)),
            }
        ),
    }
