import io
import os
import time
from pathlib import Path

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
        RequestBody(Failing(error), time.monotonic() + 60).read(10)


def test_read_past_the_deadline() -> None:
    stream = RequestBody(io.BytesIO(b"abc"), time.monotonic() - 1)
    with pytest.raises(DeadlineProblem):
        stream.read(1)


def test_read_and_readinto() -> None:
    stream = RequestBody(io.BytesIO(b"abcdef"), time.monotonic() + 60)
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
