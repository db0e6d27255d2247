"""Requests to `/batch`."""

import io
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.abuse.archives import ZipEntry, raw_zip
from tests.pictures import encode


def grey(value: int) -> bytes:
    return encode(np.full((32, 32, 3), value, np.uint8))


PICTURES = {f"{i}.png": grey(i) for i in (10, 2, 1, 100)}


def send_files(client: FlaskClient, files: dict[str, bytes], team: str = "x") -> TestResponse:
    data = {"files": [(io.BytesIO(content), name) for name, content in files.items()]}
    return client.post("/batch", query_string={"team": team}, data=data)


def send_archive(client: FlaskClient, archive: bytes, team: str = "x") -> TestResponse:
    data = {"archive": (io.BytesIO(archive), "pictures")}
    return client.post("/batch", query_string={"team": team}, data=data)


def check(response: TestResponse, outputs: Path, team: str = "x") -> None:
    assert response.status_code == 200
    assert [row["image_id"] for row in response.json] == ["1.png", "2.png", "10.png", "100.png"]
    for row in response.json:
        assert set(row) == {"image_id", "prediction"}
        value = int(row["image_id"].removesuffix(".png"))
        assert row["prediction"] == pytest.approx(value / 255, abs=1e-6)
    assert (outputs / f"{team}_prediction.json").read_bytes() == response.data
    assert [path.name for path in outputs.iterdir()] == [f"{team}_prediction.json"]


def two(*paths: str, picture: bytes = grey(2)) -> dict[str, bytes]:
    """The same picture at these paths."""
    return dict.fromkeys(paths, picture)


LARGE = b"\x89PNG" + b"x" * 250_000
MANY_PIXELS = encode(np.zeros((600, 600), np.uint8))


def send_raw_zip(client: FlaskClient, files: dict[str, bytes], query: str) -> TestResponse:
    archive = raw_zip(*[ZipEntry(name.encode(), content) for name, content in files.items()])
    return client.post(f"/batch?team=x{query}", data={"archive": (io.BytesIO(archive), "x.zip")})


def send_raw_files(client: FlaskClient, files: dict[str, bytes], query: str) -> TestResponse:
    """As a client sends them that keeps folders, and escapes backslashes."""
    body = b""
    for name, content in files.items():
        written = name.replace("\\", "\\\\").encode()
        body += b'--x\r\nContent-Disposition: form-data; name="files"; filename="' + written
        body += b'"\r\n\r\n' + content + b"\r\n"
    return client.post(
        f"/batch?team=x{query}", data=body + b"--x--\r\n", content_type="multipart/form-data; boundary=x"
    )
