"""The description holds for the application: its routes, and the answers to a table of requests."""

import base64
import io
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from api.openapi import examples
from api.openapi.document import build_document
from api.security.key_file import Key, write_keys
from api.settings import load_settings
from model import ROOT
from model.predictor import Predictor
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise, zipped

jsonschema = pytest.importorskip("jsonschema")

PICTURES = {"1.png": encode(noise()), "2.png": encode(noise(2)), "notes.txt": b"text"}
ASYNC = {"Prefer": "respond-async"}
INFERENCE = "/v2/models/cifake"
DIGEST = "0123456789ab" + "c" * 52
TENSOR = {
    "name": "file",
    "datatype": "BYTES",
    "shape": [1],
    "data": [base64.b64encode(PICTURES["1.png"]).decode()],
}


class Client:
    """Sends requests and checks each answer by the description."""

    def __init__(self, app: Flask, key: str | None = None) -> None:
        self.app, self.client = app, app.test_client()
        self.headers = {"X-API-Key": key} if key else {}
        self.document: dict[str, Any] = self.client.get("/openapi.json").json
        self.seen: set[tuple[str, str, str]] = set()

    def __call__(self, method: str, path: str, headers: dict | None = None, **body: Any) -> TestResponse:
        sent = self.headers | (headers or {})
        response = self.client.open(path, method=method, headers=sent, buffered=True, **body)
        with self.app.test_request_context(path, method=method) as context:
            template = templated(context.request.url_rule.rule)
        described = self.document["paths"][template][method.lower()]["responses"]
        status = str(response.status_code)
        assert status in described, (method, path, response.text)
        self.seen.add((template, method.lower(), status))
        check_response(self.document, self.resolve(described[status]), response)
        return response

    def resolve(self, node: dict[str, Any]) -> dict[str, Any]:
        return resolved(self.document, node)


def templated(rule: str) -> str:
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule)


def resolved(document: dict[str, Any], node: dict[str, Any]) -> dict[str, Any]:
    while "$ref" in node:
        parts, node = node["$ref"].split("/")[1:], document
        for part in parts:
            node = node[part]
    return node


def check_schema(document: dict[str, Any], schema: dict[str, Any], value: Any) -> None:
    whole = schema | {"components": document["components"]}
    jsonschema.Draft202012Validator(whole, format_checker=jsonschema.FormatChecker()).validate(value)


def check_response(document: dict[str, Any], described: dict[str, Any], response: TestResponse) -> None:
    for name, node in described["headers"].items():
        header = resolved(document, node)
        assert name in response.headers or not header.get("required"), name
        if name in response.headers:
            value = response.headers[name]
            number = header["schema"].get("type") == "integer"
            check_schema(document, header["schema"], int(value) if number else value)
    content = described.get("content", {})
    if not content:
        assert not response.data
        return
    found = content.get(response.mimetype) or content.get("*/*")
    assert found, (response.mimetype, list(content))
    if response.is_json:
        check_schema(document, found["schema"], response.json)


@pytest.fixture
def app(outputs: Path) -> Iterator[Flask]:
    predictor = MeanPredictor()
    predictor.metadata = replace(predictor.metadata, digest=DIGEST)
    app = served(predictor, output_dir=str(outputs), max_image_bytes=100_000, max_batch_bytes=200_000)
    yield app
    app.extensions["cifake"].stop()


def archive() -> dict[str, Any]:
    return {"archive": (io.BytesIO(zipped(PICTURES)), "x.zip")}


def finished_job(ask: Client, team: str = "x") -> str:
    """The path of a job that is done."""
    path = ask("POST", f"/batch?team={team}", ASYNC, data=archive()).headers["Location"]
    for _ in range(3000):
        if ask("GET", path).json["state"] == "done":
            return path
    raise AssertionError("the job did not end")


def test_every_answer_is_as_described(app: Flask, tmp_path: Path) -> None:
    ask = Client(app)
    png = PICTURES["1.png"]
    for query in ("", "?explain=gradcam&abstain=0.9", "?provenance=1&input=1", "?format=huggingface"):
        assert ask("POST", f"/predict{query}", data=png).status_code == 200
    ask("POST", "/predict?abstain=2", data=png)
    ask("POST", "/predict", data=b"x" * 100_001)
    ask("POST", "/predict", data=b"text")
    ask("POST", "/predict", data=png[:-30])
    ask("POST", "/predict", data=png, environ_overrides={"cifake.first_byte_at": -1e9})
    ask("POST", "/predict", data=png, environ_overrides={"cifake.rejected": True})

    ask("POST", "/batch?team=x", data=archive())
    ask("POST", "/batch?team=x&detail=1", data=archive())
    ask("POST", "/batch", data=archive())
    ask("POST", "/batch?team=x", data={"files": [(io.BytesIO(b"text"), "x.png")]})
    ask("POST", "/batch?team=x", data={"archive": (io.BytesIO(b"text"), "x.zip")})
    ask("POST", "/batch?team=x", data=b"x" * 200_001)
    path = finished_job(ask)
    finished_job(ask, "y")
    ask("GET", "/batch?limit=1")
    ask("GET", "/batch?limit=0")
    ask("GET", f"{path}?x=1")
    for query in ("", "?format=csv", "?detail=1&positive=FAKE", "?format=xml"):
        ask("GET", f"{path}/result{query}")
    ask("GET", f"{path}/unreadable")
    ask("GET", f"{path}/unreadable?x=1")
    app.extensions["cifake-jobs"].runner.start = lambda: None
    waiting = ask("POST", "/batch?team=x", ASYNC, data=archive()).headers["Location"]
    for part in ("result", "unreadable"):
        assert ask("GET", f"{waiting}/{part}").status_code == 409
    assert ask("DELETE", waiting).status_code == 200
    assert ask("DELETE", f"{waiting}?x=1").status_code == 400
    assert ask("DELETE", waiting).status_code == 204
    for method, ending in (("GET", ""), ("GET", "/result"), ("GET", "/unreadable"), ("DELETE", "")):
        assert ask(method, f"{waiting}{ending}").status_code == 404

    for route in ("/livez", "/readyz", "/model", "/metrics", "/openapi.json", "/docs", "/docs/start.js"):
        assert ask("GET", route).status_code == 200
    for route in ("/", "/static/index.html"):
        tag = ask("GET", route).headers["ETag"]
        assert ask("GET", route, {"If-None-Match": tag}).status_code == 304
    for route in ("/docs/x", "/static/x"):
        assert ask("GET", route).status_code == 404
    assert ask("POST", "/admin/reload").status_code == 403

    for route in ("/v2", "/v2/health/live", "/v2/health/ready"):
        assert ask("GET", route).status_code == 200
        assert ask("GET", f"{route}?x=1").status_code == 400
    for model in (INFERENCE, f"{INFERENCE}/versions/{DIGEST[:12]}"):
        for ending in ("", "/ready"):
            assert ask("GET", f"{model}{ending}").status_code == 200
            assert ask("GET", f"{model}{ending}?x=1").status_code == 400
        for content in ({}, {"parameters": {"binary_data_output": True}}, {"id": 7}):
            ask("POST", f"{model}/infer", json={"inputs": [TENSOR], **content})
        ask("POST", f"{model}/infer", json={"inputs": [TENSOR | {"data": ["dGV4dA=="]}]})
        ask("POST", f"{model}/infer", data=b"x" * 400_000)
    for ending, method in (("", "GET"), ("/ready", "GET"), ("/infer", "POST")):
        assert ask(method, f"{INFERENCE}/versions/1{ending}").status_code == 404

    described = {
        (path, method, status)
        for path, operations in ask.document["paths"].items()
        for method, operation in operations.items()
        for status in operation["responses"]
    }
    # Those of every route or body are tested where they arise, as are those of a checkpoint's reload.
    rare = {"408", "414", "415", "431", "422", "429", "500", "503", "504", "507"}
    left = {(path, status) for path, _, status in described - ask.seen if status not in rare}
    assert left == {("/admin/reload", status) for status in ("200", "400", "409")}
    assert {status for _, _, status in ask.seen} >= {"413", "415", "422", "429", "504"}


def test_a_service_with_keys(tmp_path: Path, other_checkpoint: Path) -> None:
    key, text = Key.new("root", "admin")
    write_keys(tmp_path / "keys.json", [key])
    app = served(
        Predictor.load(other_checkpoint, device="cpu"),
        keys_file=str(tmp_path / "keys.json"),
        model=str(other_checkpoint),
        output_dir=str(tmp_path),
    )
    ask = Client(app, text)
    assert ask.document["security"] == [{"bearer": []}, {"header": []}]
    assert ask("POST", "/admin/reload").status_code == 200
    assert ask("POST", "/admin/reload?x=1").status_code == 400
    other_checkpoint.write_bytes(b"broken")
    assert ask("POST", "/admin/reload").status_code == 422
    with app.extensions["cifake"].reload_lock:
        assert ask("POST", "/admin/reload").status_code == 409
    without = Client(app)
    for path, operations in ask.document["paths"].items():
        for method, operation in operations.items():
            response = without.client.open(re.sub(r"{\w+}", "x", path), method=method, buffered=True)
            assert (response.status_code == 401) == (operation.get("security") != []), path
            assert response.status_code != 401 or "401" in operation["responses"]
    assert without("POST", "/predict", data=PICTURES["1.png"]).status_code == 401


def test_every_route_is_described_and_no_other(app: Flask, client: FlaskClient) -> None:
    routes = {
        (templated(rule.rule), method.lower())
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    paths = client.get("/openapi.json").json["paths"]
    assert {(path, method) for path, operations in paths.items() for method in operations} == routes


def build(**settings: Any) -> dict[str, Any]:
    keys = settings.pop("with_keys", False)
    base_path = settings.pop("base_path", "")
    return build_document(load_settings(**settings), 32, 256, with_keys=keys, base_path=base_path)


@pytest.mark.parametrize("with_keys", [False, True])
def test_the_description_is_valid_openapi(with_keys: bool) -> None:
    validator = pytest.importorskip("openapi_spec_validator")
    document = build(with_keys=with_keys)
    validator.validate(document)
    ids = [one["operationId"] for operations in document["paths"].values() for one in operations.values()]
    assert len(ids) == len(set(ids))


def test_limits_are_those_of_the_settings() -> None:
    text = str(
        build(max_image_bytes=123_321, max_image_pixels=45_654, max_batch_files=789, max_job_files=987)
    )
    for number in ("123321", "45654", "789", "987"):
        assert number in text
    assert "/metrics" in build()["paths"]
    assert "/metrics" not in build(metrics_bind="127.0.0.1:9000")["paths"]
    assert build(base_path="/detector")["servers"] == [{"url": "/detector"}]


def described_examples() -> list[tuple[dict[str, Any], Any]]:
    found: list[tuple[dict[str, Any], Any]] = []

    def walk(node: Any) -> None:
        if isinstance(node, dict):
            if "example" in node:
                found.append((node["schema"], node["example"]))
            if "examples" in node:
                found.extend((node["schema"], one["value"]) for one in node["examples"].values())
            for child in node.values():
                walk(child)

    walk(build()["paths"])
    return found


def test_examples_are_as_described() -> None:
    document = build()
    assert len(described_examples()) > 6
    for schema, example in described_examples():
        check_schema(document, schema, example)


def numbers_apart(value: Any) -> Any:
    """The value, with numbers that may differ in their last digits, and without the request's id."""
    if isinstance(value, float):
        return pytest.approx(value, abs=0.02)
    if isinstance(value, dict):
        return {
            name: "x" if name in ("request_id", "id") else numbers_apart(one) for name, one in value.items()
        }
    return [numbers_apart(one) for one in value] if isinstance(value, list) else value


def test_examples_are_real_answers(tmp_path: Path) -> None:
    folder = ROOT / "api" / "examples"
    cat, ball = ((folder / name).read_bytes() for name in ("cat.png", "ball.png"))
    client = served(Predictor.load(device="cpu", precision="auto"), output_dir=str(tmp_path)).test_client()
    id_ = {"X-Request-ID": "x"}
    files = [(io.BytesIO(cat), "cat.png"), (io.BytesIO(ball), "ball.png")]
    request = examples.INFERENCE_REQUEST
    tensor = request["inputs"][0] | {"data": [base64.b64encode(cat).decode()]}
    for response, expected in (
        (client.post("/predict", data=cat, headers=id_), examples.CAT),
        (client.post("/predict?format=huggingface", data=ball), examples.BALL_FOR_HUGGING_FACE),
        (client.post("/batch?team=x", data={"files": files}), examples.PREDICTIONS),
        (client.post("/predict?abstain=2", data=ball, headers=id_), examples.PROBLEM),
        (
            client.post(f"{INFERENCE}/infer", json=request | {"inputs": [tensor], "id": "x"}),
            examples.INFERENCE_RESPONSE,
        ),
    ):
        assert response.json == numbers_apart(expected)


def test_the_page_loads_nothing_from_elsewhere(client: FlaskClient) -> None:
    response = client.get("/docs")
    assert (response.status_code, response.mimetype) == (200, "text/html")
    loaded = re.findall(r'(?:src|href)="([^"]*)"', response.text)
    assert len(loaded) == 4
    assert "<style" not in response.text
    assert not re.search(r"<script(?! src=)", response.text)
    kinds = {"png": "image/png", "css": "text/css", "js": "text/javascript"}
    for address in loaded:
        file = client.get(f"/{address}", buffered=True)
        assert (file.status_code, file.mimetype) == (200, kinds[address.rpartition(".")[2]])
    policy = response.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for name in ("x", "..", "index.html", "LICENSE"):
        assert client.get(f"/docs/{name}").status_code == 404


def test_the_bound_of_pictures_is_that_of_the_description() -> None:
    client = served(batch_size=2).test_client()
    document = client.get("/openapi.json").json
    schema = {"$ref": "#/components/schemas/InferenceRequest"}
    for count, status in ((16, 200), (17, 413)):
        pixels = np.zeros((count, 32, 32, 3), np.uint8)
        tensor = {"name": "pixels", "datatype": "UINT8", "shape": list(pixels.shape)}
        body = {"inputs": [tensor | {"parameters": {"binary_data_size": pixels.nbytes}}]}
        text = client.application.json.dumps(body).encode()
        response = client.post(
            f"{INFERENCE}/infer",
            data=text + pixels.tobytes(),
            headers={"Inference-Header-Content-Length": str(len(text))},
        )
        assert response.status_code == status, response.text
        whole = schema | {"components": document["components"]}
        assert jsonschema.Draft202012Validator(whole).is_valid(body) == (status == 200)
