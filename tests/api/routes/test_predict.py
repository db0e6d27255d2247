import base64
import io
import json
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin
from werkzeug.test import TestResponse

from api.service import EXTENSION
from model.images.upscaling import KERNELS
from model.predictor import Prediction, Predictor
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise

GREY = np.full((32, 32, 3), 51, np.uint8)  # a fifth of white: the stub predicts 0.2


def form(client: FlaskClient, data: bytes, name: str = "x.png") -> TestResponse:
    return client.post("/predict", data={"file": (io.BytesIO(data), name)})


def body(client: FlaskClient, data: bytes) -> TestResponse:
    return client.post("/predict", data=data, content_type="image/png")


def as_json(client: FlaskClient, data: bytes) -> TestResponse:
    return client.post("/predict", json={"file": base64.b64encode(data).decode()})


Send = Callable[[FlaskClient, bytes], TestResponse]
FORMS: list[Send] = [form, body, as_json]


@pytest.mark.parametrize("send", FORMS)
def test_each_form_gives_the_same_answer(send: Send, client: FlaskClient) -> None:
    response = send(client, encode(GREY))
    assert response.status_code == 200
    answer = response.json
    assert answer.pop("request_id") == response.headers["X-Request-ID"]
    assert answer == {
        "label": "FAKE",
        "confidence": 0.8,
        "prediction": 0.2,
        "scores": {"REAL": 0.2, "FAKE": 0.8},
        "in_domain": True,
        "out_of_domain_reason": None,
        "width": 32,
        "height": 32,
        "resized": False,
        "model": "",
    }


def test_forms_agree_with_the_shipped_model(shipped: Predictor) -> None:
    client = served(shipped).test_client()
    data = encode(noise(5))
    predictions = [send(client, data).json["prediction"] for send in FORMS]
    expected = shipped.predict_proba([noise(5)])[0]
    np.testing.assert_allclose(predictions, expected, atol=1e-6)


def test_data_url_and_wrapped_base64(client: FlaskClient) -> None:
    text = base64.encodebytes(encode(GREY)).decode()
    for sent in (text, "data:image/png;base64," + text):
        assert client.post("/predict", json={"file": sent}).json["prediction"] == 0.2


@pytest.mark.parametrize("seed", range(4))
def test_other_forms_of_base64(seed: int, client: FlaskClient) -> None:
    data = encode(noise(seed))
    expected = client.post("/predict", data=data, content_type="image/png").json["prediction"]
    standard, url_safe = base64.b64encode(data).decode(), base64.urlsafe_b64encode(data).decode()
    for text in (standard.rstrip("="), url_safe, url_safe.rstrip("="), "DATA:image/png;BASE64," + standard):
        assert client.post("/predict", json={"file": text}).json["prediction"] == expected


def test_curls_default_content_type_is_a_body(client: FlaskClient) -> None:
    response = client.post("/predict", data=encode(GREY), content_type="application/x-www-form-urlencoded")
    assert response.json["prediction"] == 0.2


def test_a_larger_picture_is_resized_and_the_answer_says_so(client: FlaskClient) -> None:
    answer = form(client, encode(np.full((60, 80, 3), 204, np.uint8))).json
    assert answer["label"] == "REAL"
    assert (answer["width"], answer["height"], answer["resized"]) == (80, 60, True)
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (False, "size")


@pytest.mark.parametrize("side", [8, 31, 33, 48, 200])
def test_a_picture_that_was_resampled_is_out_of_the_domain(side: int, client: FlaskClient) -> None:
    pixels = np.random.default_rng(0).integers(60, 196, (side, side, 3), dtype=np.uint8)
    answer = form(client, encode(pixels)).json
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (False, "size")


@pytest.mark.parametrize("kernel", list(KERNELS))
@pytest.mark.parametrize("side", [64, 128, 224])
def test_an_enlargement_is_judged_by_its_content(side: int, kernel: int, client: FlaskClient) -> None:
    small = np.random.default_rng(0).integers(60, 196, (32, 32, 3), dtype=np.uint8)
    answer = form(client, encode(np.asarray(Image.fromarray(small).resize((side, side), kernel)))).json
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (True, None)
    assert answer["resized"]


TRUNCATED = {kind: encode(noise(0, 64, 64), kind)[:-400] for kind in ("PNG", "JPEG")}


@pytest.mark.parametrize("send", FORMS)
@pytest.mark.parametrize(
    ("data", "status", "words"),
    [
        (b"just text", 415, "PNG, JPEG"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", 415, "PNG, JPEG"),
        (TRUNCATED["PNG"], 422, "cut short"),
        (TRUNCATED["JPEG"], 422, "cut short"),
        (encode(noise(0, 600, 600), "JPEG"), 413, "600x600 pixels"),
        (b"x" * 250_000, 413, "less|smaller"),
        (b"", 400, "no picture"),
    ],
)
def test_bad_pictures(send: Send, data: bytes, status: int, words: str, client: FlaskClient) -> None:
    response = send(client, data)
    assert response.status_code == status
    assert response.mimetype == "application/problem+json"
    assert any(word in response.json["detail"] for word in words.split("|"))
    assert send(client, encode(GREY)).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({}, "no picture"),
        ({"data": {"picture": (io.BytesIO(b"x"), "x.png")}}, "no form field `picture`: known: `file`"),
        ({"data": {"file": "not a file"}, "content_type": "multipart/form-data"}, "without a file name"),
        ({"json": ["x"]}, "the JSON must be"),
        ({"json": {"image": "x"}}, "the JSON must be"),
        ({"json": {"file": 7}}, "the JSON must be"),
        ({"json": {"file": "§§§"}}, "not base64"),
        ({"json": {"file": "abcde"}}, "not base64"),
        ({"json": {"file": "data:image/png,abc"}}, "data URL"),
    ],
)
def test_malformed_requests(arguments: dict, words: str, client: FlaskClient) -> None:
    response = client.post("/predict", **arguments)
    assert response.status_code == 400
    assert response.mimetype == "application/problem+json"
    assert words in response.json["detail"]


def test_two_pictures_are_one_too_many(client: FlaskClient) -> None:
    files = [(io.BytesIO(encode(GREY)), f"{i}.png") for i in range(2)]
    response = client.post("/predict", data={"file": files})
    assert response.status_code == 400
    assert "/batch" in response.json["detail"]


def test_a_body_of_unknown_length_that_is_too_large(client: FlaskClient) -> None:
    environ = {"wsgi.input_terminated": True}
    response = client.post(
        "/predict",
        input_stream=io.BytesIO(b"x" * 250_000),
        headers={"Transfer-Encoding": "chunked"},
        environ_overrides=environ,
    )
    assert response.status_code == 413


def test_nothing_is_written(client: FlaskClient, outputs: Path) -> None:
    form(client, encode(GREY))
    assert not outputs.exists()


def ask(client: FlaskClient, query: str, value: int = 51) -> TestResponse:
    return client.post(f"/predict{query}", data=encode(np.full((32, 32, 3), value, np.uint8)))


def test_an_answer_below_the_asked_confidence_is_uncertain(client: FlaskClient) -> None:
    answer = ask(client, "?abstain=0.9").json
    assert (answer["label"], answer["confidence"], answer["prediction"]) == ("UNCERTAIN", 0.8, 0.2)
    assert ask(client, "?abstain=0.8").json["label"] == "FAKE"
    assert ask(client, "?abstain=0.9", value=242).json["label"] == "REAL"


@pytest.mark.parametrize(
    "query", ["?abstain=high", "?abstain=1.1", "?abstain=-0.1", "?abstain=nan", "?abstain="]
)
def test_abstain_must_be_a_confidence(query: str, client: FlaskClient) -> None:
    response = ask(client, query)
    assert response.status_code == 400
    assert "abstain must be a confidence from 0 to 1" in response.json["detail"]


def test_out_of_domain_pictures_are_flagged(client: FlaskClient) -> None:
    answer = ask(client, "", value=20).json
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (False, "content")
    without_domain = MeanPredictor()
    without_domain.predict = lambda pictures, use_all_cores: Prediction(np.array([0.2] * len(pictures)), None)  # type: ignore[method-assign]
    client = served(without_domain).test_client()
    answer = ask(client, "").json
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (None, None)
    answer = form(client, encode(noise(0, 40, 40))).json
    assert (answer["in_domain"], answer["out_of_domain_reason"]) == (False, "size")


def test_the_model_is_the_one_that_answered() -> None:
    """Also if another one is served while it computes."""
    names = iter("ab")

    class Reloaded(MeanPredictor):
        def __init__(self) -> None:
            self.metadata = replace(self.metadata, digest=next(names) * 64)

        def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
            if EXTENSION in app.extensions:
                app.extensions[EXTENSION]._newest = newer
            return super().predict(pictures)

    app = Flask("none")
    first, newer = Reloaded(), Reloaded()
    app = served(first)
    client = app.test_client()
    assert [ask(client, "").json["model"] for _ in range(2)] == ["a" * 12, "b" * 12]


@given(st.integers(0, 255))
@settings(derandomize=True, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_scores_are_of_six_digits_and_their_sum_is_1(client: FlaskClient, value: int) -> None:
    answer = ask(client, "", value).json
    scores = {name: Decimal(str(score)) for name, score in answer["scores"].items()}
    assert sum(scores.values()) == 1
    assert all(score == round(score, 6) for score in scores.values())
    assert max(answer["scores"].values()) == answer["confidence"]
    listed = ask(client, "?format=huggingface", value).json
    assert {row["label"]: row["score"] for row in listed} == answer["scores"]
    assert listed[0]["score"] >= listed[1]["score"]


@pytest.mark.parametrize("other", ["abstain=0.9", "explain=gradcam", "input=1", "provenance=1"])
def test_hugging_faces_format_has_only_scores(other: str, client: FlaskClient) -> None:
    response = ask(client, f"?format=huggingface&{other}")
    assert response.status_code == 400
    assert f"no place for `{other.partition('=')[0]}`" in response.json["detail"]
    assert ask(client, f"?format=json&{other}").status_code == 200
    assert "format must be json or huggingface" in ask(client, "?format=xml").json["detail"]


def test_the_heat_map_is_a_picture(client: FlaskClient) -> None:
    explanation = ask(client, "?explain=gradcam").json["explanation"]
    assert explanation["method"] == "gradcam"
    head, _, data = explanation["heatmap"].partition(",")
    assert head == "data:image/png;base64"
    with Image.open(io.BytesIO(base64.b64decode(data))) as image:
        heat = np.asarray(image)
    assert heat.shape == (32, 32)
    assert (heat[0, 0], heat.sum()) == (255, 255)
    assert "explanation" not in ask(client, "").json


class Recording(MeanPredictor):
    """Keeps the pictures that it is given."""

    def __init__(self) -> None:
        self.seen: list[np.ndarray] = []

    def predict(self, pictures: list[np.ndarray], use_all_cores: bool = True) -> Prediction:
        self.seen += pictures
        return super().predict(pictures)


def test_the_input_is_what_the_network_received() -> None:
    predictor = Recording()
    client = served(predictor).test_client()
    small, odd = noise(1), noise(2, 61, 43)
    pictures: dict[str, tuple[bytes, np.ndarray | None]] = {
        "of the network's size": (encode(small), small),
        "enlarged": (encode(small.repeat(7, 0).repeat(7, 1)), small),
        "of another size": (encode(odd), None),
        "JPEG": (encode(small, "JPEG"), None),
        "grey": (encode(small[:, :, 0]), small[:, :, :1].repeat(3, 2)),
    }
    for name, (data, expected) in pictures.items():
        answer = client.post("/predict?input=1", data=data, content_type="image/png").json
        head, _, encoded = answer["input"].partition(",")
        assert head == "data:image/png;base64", name
        with Image.open(io.BytesIO(base64.b64decode(encoded))) as image:
            assert (image.format, image.mode, image.size) == ("PNG", "RGB", (32, 32)), name
            received = np.asarray(image)
        assert np.array_equal(received, predictor.seen[-1]), name
        assert expected is None or np.array_equal(received, expected), name
    for query in ("", "?input=0"):
        assert "input" not in ask(client, query).json
    response = ask(client, "?input=yes")
    assert response.status_code == 400
    assert "input must be 0 or 1" in response.json["detail"]


def test_other_explanations_are_refused(client: FlaskClient) -> None:
    response = ask(client, "?explain=magic")
    assert response.status_code == 400
    assert "must be gradcam" in response.json["detail"]


def test_provenance_on_demand(client: FlaskClient) -> None:
    info = PngImagePlugin.PngInfo()
    info.add_text(
        "parameters", "a secret prompt\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 32x32"
    )
    file = io.BytesIO()
    Image.fromarray(GREY).save(file, "PNG", pnginfo=info)
    assert "provenance" not in form(client, file.getvalue()).json
    for query in ("?provenance=1", "?provenance=1&abstain=0.9"):
        answer = client.post(f"/predict{query}", data=file.getvalue(), content_type="image/png").json
        assert answer["provenance"]["generator"] == "Stable Diffusion (AUTOMATIC1111)"
        assert answer["provenance"]["evidence"] == ["png:parameters"]
        assert "secret" not in json.dumps(answer)
    answer = client.post("/predict?provenance=1", data=encode(GREY), content_type="image/png").json
    assert answer["provenance"] == {
        "generator": None,
        "camera": None,
        "digital_source_type": None,
        "c2pa": None,
        "evidence": [],
        "complete": True,
    }
    response = client.post("/predict?provenance=yes", data=encode(GREY), content_type="image/png")
    assert response.status_code == 400
    assert "provenance must be 0 or 1" in response.json["detail"]
