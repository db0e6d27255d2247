import base64
import gzip
import io
import json
import os
import time
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import given, settings
from hypothesis import strategies as st
from werkzeug.datastructures import FileStorage
from werkzeug.test import encode_multipart

from api.errors import BadRequestProblem, DeadlineProblem, StalledProblem
from api.uploads import SPOOL_BYTES, FormFile, RequestBody
from tests.conftest import served
from tests.pictures import encode, noise


class Failing(io.BytesIO):
    """A body whose `read` raises."""

    def __init__(self, error: Exception) -> None:
        super().__init__(b"")
        self.error = error

    def read(self, size: int | None = -1) -> bytes:
        raise self.error


@pytest.mark.parametrize(
    ("error", "problem"),
    [
        (TimeoutError(), StalledProblem),
        (ConnectionResetError(), BadRequestProblem),
        (OSError("socket"), BadRequestProblem),
        (ValueError("zz is no chunk size"), BadRequestProblem),
        (KeyError("what a parser never meant to raise"), BadRequestProblem),
    ],
)
def test_errors_while_the_body_is_read_are_client_errors(error: Exception, problem: type[Exception]) -> None:
    with pytest.raises(problem):
        RequestBody(Failing(error), time.monotonic() + 60, 10).read(10)


def test_read_past_the_deadline() -> None:
    stream = RequestBody(io.BytesIO(b"abc"), time.monotonic() - 1, 10)
    with pytest.raises(DeadlineProblem):
        stream.read(1)


def test_read_and_readinto() -> None:
    stream = RequestBody(io.BytesIO(b"abcdef"), time.monotonic() + 60, 10)
    buffer = bytearray(2)
    assert (stream.read(3), stream.readinto(memoryview(buffer)), bytes(buffer), stream.read()) == (
        b"abc",
        2,
        b"de",
        b"f",
    )


@settings(derandomize=True, deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.data())
def test_form_files_in_a_shared_file_are_independent(contents: list[bytes], data: st.DataObject) -> None:
    shared = io.BytesIO()
    files = []
    for content in contents:
        file = FormFile(shared)
        for start in range(0, len(content), 7):
            file.write(content[start : start + 7])
        file.seek(0)
        files.append((file, io.BytesIO(content)))
    for _ in range(12):
        file, expected = data.draw(st.sampled_from(files))
        whence = data.draw(st.sampled_from([io.SEEK_SET, io.SEEK_CUR, io.SEEK_END]))
        offset = data.draw(st.integers(0, 50) if whence == io.SEEK_SET else st.integers(0, 3))
        size = data.draw(st.integers(-1, 50))
        assert file.seek(offset, whence) == expected.seek(offset, whence)
        assert file.read(size) == expected.read(size)
        assert file.tell() == expected.tell()


def test_many_large_files_share_one_descriptor(tmp_path: Path) -> None:
    app = served(output_dir=str(tmp_path), max_batch_bytes=64 << 20)
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("needs /proc/self/fd")
    open_files: list[int] = []

    @app.before_request
    def count() -> None:
        from flask import request

        assert len(request.files.getlist("files")) == 40
        open_files.append(len(os.listdir("/proc/self/fd")))

    picture = encode(noise()) + bytes(SPOOL_BYTES // 2 + 1)  # data after the end of a PNG is ignored
    before = len(os.listdir("/proc/self/fd"))
    files = [FileStorage(io.BytesIO(picture), f"{i}.png", "files") for i in range(40)]
    boundary, body = encode_multipart({"files": files})
    kind = f"multipart/form-data; boundary={boundary}"
    response = app.test_client().post("/batch?team=x", data=body, content_type=kind)
    assert response.status_code == 200
    assert len(response.json) == 40
    assert len({row["prediction"] for row in response.json}) == 1
    assert open_files[0] - before < 8


BASE64 = base64.b64encode(encode(noise())).decode()
JSON = json.dumps({"file": BASE64}).encode()
FORM_BODY = b"--X\r\nContent-Disposition: form-data; name=file\r\n\r\nx\r\n--X--"
URLENCODED = "application/x-www-form-urlencoded"


@pytest.mark.parametrize(
    ("body", "content_type", "status", "words"),
    [
        (
            b'{"file": "x"',
            "application/json",
            400,
            "the JSON is malformed: Expecting ',' delimiter: line 1 column",
        ),
        (b'{\n  "file": x}', "application/json", 400, "line 2 column 11"),
        (b'{"file": ' + b"1" * 5000 + b"}", "application/json", 400, "the JSON is malformed"),
        (b"", "application/json", 400, "no picture in this request"),
        (b"file=x", "application/json", 400, "the JSON is malformed"),
        (
            b'{"file": "\xe9"}',
            "application/json",
            400,
            "the JSON is not UTF-8: invalid continuation byte at byte 10",
        ),
        (encode(noise()), "application/json", 400, "a picture go with another Content-Type"),
        (
            JSON,
            "text/plain",
            415,
            "this body is JSON: send it with the header Content-Type: application/json",
        ),
        (JSON, "text/json", 415, "this body is JSON"),
        (JSON, "image/png", 415, "this body is JSON"),
        (JSON, URLENCODED, 415, "this body is JSON"),
        (JSON, None, 415, "this body is JSON"),
        (b"\xef\xbb\xbf\n{ 'file': 'x' }", URLENCODED, 415, "this body is JSON"),
        (b"[" + JSON + b"]", URLENCODED, 415, "this body is JSON"),
        (
            b"file=" + quote(BASE64).encode(),
            URLENCODED,
            415,
            "this body is an urlencoded form: send the picture",
        ),
        (b"image=" + BASE64.encode(), URLENCODED, 415, "an urlencoded form"),
        (b"file=ball.png&explain=gradcam", None, 415, "an urlencoded form"),
        (BASE64.encode(), URLENCODED, 415, "base64 text"),
        (b"iVBORw0KGgo" + b"A" * 100 + b"==", URLENCODED, 415, "base64 text"),
        (FORM_BODY, "image/png", 415, "this body is a multipart form"),
        (FORM_BODY, "multipart/mixed; boundary=X", 415, "this body is a multipart form"),
        (b"{\\rtf1 text", "text/plain", 415, "PNG, JPEG"),
        (b"[section]", "text/plain", 415, "PNG, JPEG"),
        (b"", URLENCODED, 400, "no picture in this request"),
    ],
)
def test_bodies_that_are_something_else(
    body: bytes, content_type: str | None, status: int, words: str, client: FlaskClient
) -> None:
    response = client.post("/predict", data=body, content_type=content_type)
    assert (response.status_code, response.mimetype) == (status, "application/problem+json")
    assert words in response.json["detail"]


@pytest.mark.parametrize(
    "content_type",
    ["application/json", "application/json; charset=utf-8", "Application/JSON", "application/vnd.x+json"],
)
def test_content_types_of_json(content_type: str, client: FlaskClient) -> None:
    for body in (JSON, b"\xef\xbb\xbf" + JSON):
        assert client.post("/predict", data=body, content_type=content_type).status_code == 200


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"])
@pytest.mark.parametrize("content_type", [URLENCODED, "text/plain", "application/octet-stream", None])
def test_a_picture_of_any_content_type(kind: str, content_type: str | None, client: FlaskClient) -> None:
    assert client.post("/predict", data=encode(noise(), kind), content_type=content_type).status_code == 200


def test_a_picture_whose_size_looks_like_text(client: FlaskClient) -> None:
    bmp = b"BM=" + encode(noise(), "BMP")[3:]
    assert client.post("/predict", data=bmp, content_type=URLENCODED).status_code == 200


@pytest.mark.parametrize("path", ["/predict", "/batch?team=x"])
@pytest.mark.parametrize("send_as", ["form", "body", "json"])
@pytest.mark.parametrize("coding", ["gzip", "BR", "gzip, identity", "base64"])
def test_encoded_bodies_are_refused(coding: str, send_as: str, path: str, client: FlaskClient) -> None:
    content: dict[str, object] = {
        "form": {"data": {"file": (io.BytesIO(b"x"), "x.png")}},
        "body": {"data": gzip.compress(encode(noise()))},
        "json": {"json": {"file": BASE64}},
    }[send_as]
    response = client.post(path, headers={"Content-Encoding": coding}, **content)
    assert (response.status_code, response.mimetype) == (415, "application/problem+json")
    assert response.headers["Accept-Encoding"] == "identity"
    assert f"the Content-Encoding `{coding}`" in response.json["detail"]


@pytest.mark.parametrize("coding", ["identity", "Identity", ""])
def test_the_identity_encoding_is_none(coding: str, client: FlaskClient) -> None:
    headers = {"Content-Encoding": coding}
    assert client.post("/predict", data=encode(noise()), headers=headers).status_code == 200


def test_deeply_nested_json(client: FlaskClient) -> None:
    for text in ("[" * 1000, '{"file":' * 1000, "[" * 100_000):
        response = client.post("/predict", data=text, content_type="application/json")
        assert response.status_code == 400


def test_expired_requests_do_not_block_later_ones(app: Flask) -> None:
    """Slow uploads past the deadline are answered 504 and leave no work behind."""
    client = app.test_client()
    environ = {"cifake.first_byte_at": time.monotonic() - 31}
    body = encode(np.zeros((32, 32, 3), np.uint8))
    for _ in range(12):
        assert client.post("/predict", data=body, environ_overrides=environ).status_code == 504
    for _ in range(100):
        assert client.post("/predict", data=body).status_code == 200


PART = b'--x\r\nContent-Disposition: form-data; name="%b"; filename="x"\r\n\r\n'


@pytest.mark.parametrize(
    ("path", "content_type", "start"),
    [
        ("/predict", "image/png", b""),
        ("/predict", "application/json", b'{"file": "'),
        ("/predict", "multipart/form-data; boundary=x", PART % b"file"),
        ("/batch?team=x", "multipart/form-data; boundary=x", PART % b"files"),
    ],
)
def test_a_chunked_body_that_is_too_large_is_not_taken_for_a_broken_one(
    path: str, content_type: str, start: bytes, client: FlaskClient
) -> None:
    response = client.post(
        path,
        input_stream=io.BytesIO(start + b"A" * 3_000_000),
        headers={"Transfer-Encoding": "chunked"},
        content_type=content_type,
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert response.status_code == 413, response.json
    assert "bytes at most" in response.json["detail"]
