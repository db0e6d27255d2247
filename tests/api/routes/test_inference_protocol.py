import base64
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from PIL import Image
from werkzeug.test import TestResponse

from api.app import create_starting_app
from model.predictor import Prediction, Predictor
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise

DIGEST = "0123456789ab" + "c" * 52
MODEL = "/v2/models/cifake"
LEVELS = [0, 51, 255]
PIXELS = np.stack([np.full((32, 32, 3), level, np.uint8) for level in LEVELS])
EXPECTED = {
    "prediction": [0.0, 0.2, 1.0],
    "label": ["FAKE", "FAKE", "REAL"],
    "confidence": [1.0, 0.8, 1.0],
    "in_domain": [False, True, True],
    "out_of_domain_reason": ["content", "", ""],
}


@pytest.fixture
def app() -> Flask:
    predictor = MeanPredictor()
    predictor.metadata = replace(predictor.metadata, digest=DIGEST)
    return served(predictor, batch_size=2, max_image_bytes=150_000, max_image_pixels=100_000)


def pixels_input(pixels: np.ndarray) -> dict[str, object]:
    return {"name": "pixels", "datatype": "UINT8", "shape": pixels.shape, "data": pixels.tolist()}


def files_input(*files: bytes) -> dict[str, object]:
    data = [base64.b64encode(file).decode() for file in files]
    return {"name": "file", "datatype": "BYTES", "shape": [len(files)], "data": data}


def infer(client: FlaskClient, tensor: dict[str, object], path: str = MODEL, **more: object) -> TestResponse:
    return client.post(f"{path}/infer", json={"inputs": [tensor], **more})


def outputs(response: TestResponse) -> dict[str, list]:
    assert response.status_code == 200, response.text
    return {output["name"]: output["data"] for output in response.json["outputs"]}


def test_pixels_and_files_give_the_same_answer(client: FlaskClient) -> None:
    response = infer(client, pixels_input(PIXELS))
    assert outputs(response) == outputs(infer(client, files_input(*map(encode, PIXELS)))) == EXPECTED
    assert response.json["model_name"] == "cifake"
    assert response.json["model_version"] == DIGEST[:12]
    assert response.json["id"] == response.headers["X-Request-ID"]
    assert infer(client, pixels_input(PIXELS), id="7").json["id"] == "7"


def test_answers_of_the_shipped_model_are_those_of_predict(shipped: Predictor) -> None:
    client = served(shipped).test_client()
    pictures = [noise(seed) for seed in range(3)]
    single = [client.post("/predict", data=encode(picture)).json for picture in pictures]
    answer = outputs(infer(client, pixels_input(np.stack(pictures))))
    for name in ("prediction", "confidence"):
        assert answer[name] == pytest.approx([one[name] for one in single], abs=1e-5)
    for name in ("label", "in_domain"):
        assert answer[name] == [one[name] for one in single]


def test_files_of_another_size_are_resampled(client: FlaskClient) -> None:
    answer = outputs(infer(client, files_input(encode(noise(0, 40, 40)))))
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == ([False], ["size"])


def test_a_model_without_a_detector_does_not_know_its_domain() -> None:
    predictor = MeanPredictor()
    predictor.predict = lambda pictures, use_all_cores: Prediction(np.array([0.2] * len(pictures)), None)  # type: ignore[method-assign]
    answer = outputs(infer(served(predictor).test_client(), pixels_input(PIXELS)))
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == ([False] * 3, ["unknown"] * 3)


def test_metadata_and_health(client: FlaskClient) -> None:
    assert "binary_tensor_data" in client.get("/v2").json["extensions"]
    assert client.get("/v2/health/live").json == {"live": True}
    assert client.get("/v2/health/ready").json == {"ready": True}
    for path in (MODEL, f"{MODEL}/versions/{DIGEST[:12]}"):
        metadata = client.get(path).json
        assert (metadata["name"], metadata["versions"]) == ("cifake", [DIGEST[:12]])
        shapes = {tensor["name"]: tensor["shape"] for tensor in metadata["inputs"]}
        assert shapes == {"pixels": [-1, 32, 32, 3], "file": [-1]}
        assert [tensor["name"] for tensor in metadata["outputs"]] == list(EXPECTED)
        assert client.get(f"{path}/ready").json == {"name": "cifake", "ready": True}
        assert outputs(infer(client, pixels_input(PIXELS), path)) == EXPECTED


def test_while_the_model_loads_the_server_is_live_and_not_ready() -> None:
    client = create_starting_app().test_client()
    assert client.get("/v2/health/live").status_code == 200
    for path in ("/v2/health/ready", MODEL, f"{MODEL}/ready"):
        response = client.get(path)
        assert (response.status_code, response.json["error"]) == (503, response.json["detail"])


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/nothing", 404),
        ("/v2/models/other", 404),
        (f"{MODEL}/versions/1", 404),
        (f"{MODEL}/versions/{DIGEST}/ready", 404),
        (f"{MODEL}/infer", 405),
        (f"{MODEL}?x=1", 400),
    ],
)
def test_problems_have_the_protocols_member(path: str, status: int, client: FlaskClient) -> None:
    response = client.get(path)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert response.json["error"] == response.json["detail"]
    assert "error" not in client.get("/nothing").json


GIF = encode(Image.new("L", (200, 200)), "GIF")
TIFF = encode(Image.new("L", (200, 200)), "TIFF", compression="tiff_lzw")


@pytest.mark.parametrize(
    ("tensor", "status", "words"),
    [
        (files_input(encode(noise()), b"text"), 415, "file 1 of the input: "),
        (files_input(encode(noise(0, 64, 64))[:-400]), 422, "file 0 of the input: "),
        (files_input(GIF, GIF, GIF), 413, "100000 pixels together"),
        (files_input(TIFF, TIFF, TIFF), 413, "100000 pixels together"),  # whose header is not read
        (files_input(b""), 415, "file 0"),
        (files_input(*[encode(PIXELS[0])] * 17), 413, "16 pictures at most"),
        (files_input(b"x" * 300_000), 413, "bytes at most"),
    ],
)
def test_refused_pictures(tensor: dict[str, object], status: int, words: str, client: FlaskClient) -> None:
    response = infer(client, tensor)
    assert response.status_code == status, response.json
    assert words in response.json["error"]


def test_a_body_of_unknown_length_that_is_too_large(client: FlaskClient) -> None:
    response = client.post(
        f"{MODEL}/infer",
        input_stream=io.BytesIO(b"[" + b" " * 300_000),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 413


def test_tritons_client(client: FlaskClient) -> None:
    """It writes and reads the bodies, as JSON and as binary data."""
    http = pytest.importorskip("tritonclient.http")
    files = np.array([encode(picture) for picture in PIXELS], object)
    for name, datatype, array, binary in (
        ("pixels", "UINT8", PIXELS, True),
        ("pixels", "UINT8", PIXELS, False),
        ("file", "BYTES", files, True),
    ):
        tensor = http.InferInput(name, list(array.shape), datatype)
        tensor.set_data_from_numpy(array, binary_data=binary)
        for asked in (None, [http.InferRequestedOutput(output, binary) for output in EXPECTED]):
            body, length = http.InferenceServerClient.generate_request_body([tensor], asked, "7")
            headers = {} if length is None else {"Inference-Header-Content-Length": str(length)}
            response = client.post(f"{MODEL}/infer", data=body, headers=headers)
            assert response.status_code == 200, response.text
            json_length = response.headers.get("Inference-Header-Content-Length")
            result = http.InferenceServerClient.parse_response_body(
                response.data, header_length=None if json_length is None else int(json_length)
            )
            assert result.get_response()["id"] == "7"
            for output, values in EXPECTED.items():
                found = result.as_numpy(output)
                if output in ("label", "out_of_domain_reason"):
                    found = [text.decode() if isinstance(text, bytes) else text for text in found]
                    assert found == values
                else:
                    np.testing.assert_allclose(found, values, atol=1e-6)


def test_json_is_read_with_any_content_type(client: FlaskClient) -> None:
    body = json.dumps({"inputs": [pixels_input(PIXELS)]})
    for content_type in ("application/json", "application/octet-stream", ""):
        assert outputs(client.post(f"{MODEL}/infer", data=body, content_type=content_type)) == EXPECTED
