import gc
import io
import json
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.api.routes.batch.sending import LARGE, PICTURES, check, grey, send_archive, send_files
from tests.conftest import served
from tests.pictures import encode, zipped


def test_more_pictures_than_a_model_batch(client: FlaskClient) -> None:
    files = {f"{i}.png": grey(i % 256) for i in range(299, -1, -1)}
    rows = send_archive(client, zipped(files)).json
    assert [row["image_id"] for row in rows] == [f"{i}.png" for i in range(300)]
    assert rows[299]["prediction"] == pytest.approx((299 - 256) / 255, abs=1e-6)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("as_files", [True, False])
def test_too_many_files(as_files: bool, client: FlaskClient, outputs: Path) -> None:
    files = {f"{i}.png": grey(1) for i in range(302)}
    response = send_files(client, files) if as_files else send_archive(client, zipped(files))
    assert response.status_code == 413
    gc.collect()  # werkzeug does not close the files of a form that it rejects: the collector warns
    assert not outputs.exists()


def test_one_file_too_large_is_unreadable_and_the_others_are_not(client: FlaskClient, outputs: Path) -> None:
    response = send_files(client, PICTURES | {"big.png": LARGE})
    assert len(response.json) == 4
    assert response.headers["X-Unreadable-Count"] == "1"
    [listed] = json.loads((outputs / "x_unreadable.json").read_bytes())
    assert listed["image_id"] == "big.png"
    assert listed["error"] == "a picture may have 200000 bytes at most; send a smaller one"
    assert send_archive(client, zipped(PICTURES | {"big.png": LARGE})).status_code == 413


def test_upload_too_large(client: FlaskClient) -> None:
    response = client.post(
        "/batch?team=x", data=b"x" * 2_100_000, content_type="multipart/form-data; boundary=x"
    )
    assert response.status_code == 413


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"file": (io.BytesIO(b"x"), "x.png")},
        {"files": (io.BytesIO(b"x"), "x.png"), "archive": (io.BytesIO(b"x"), "x.zip")},
        {"archive": [(io.BytesIO(b"x"), "x.zip"), (io.BytesIO(b"x"), "y.zip")]},
    ],
)
def test_wrong_fields(data: dict, client: FlaskClient) -> None:
    response = client.post("/batch?team=x", data=data)
    assert response.status_code == 400
    assert "`files`" in response.json["detail"]


def test_pixels_of_all_pictures_together(client: FlaskClient, outputs: Path) -> None:
    """Limits are 250,000 pixels each and a million together, checked before anything is decoded."""
    header = bytearray(encode(np.zeros((500, 500), np.uint8)))
    del header[60:]  # not decodable
    five = {f"{i}.png": bytes(header) for i in range(5)}
    for response in (send_archive(client, zipped(five)), send_files(client, five)):
        assert response.status_code == 413
        assert "1000000 pixels together" in response.json["detail"]
    four = {f"{i}.png": encode(np.full((500, 500), 100, np.uint8)) for i in range(4)}
    assert send_archive(client, zipped(four)).status_code == 200


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_pixels_unknown_from_the_header_are_counted(kind: str, client: FlaskClient) -> None:
    files = {f"{i}": encode(np.full((500, 500), 100, np.uint8), kind) for i in range(5)}
    assert send_archive(client, zipped(files)).status_code == 413


def test_a_batch_past_its_deadline_is_answered_504(outputs: Path) -> None:
    app = served(output_dir=str(outputs), max_batch_seconds=1e-6)
    response = send_files(app.test_client(), PICTURES)
    assert response.status_code == 504
    assert not outputs.exists()


def test_concurrent_batches_are_limited(outputs: Path) -> None:
    app = served(output_dir=str(outputs), max_batches=1)
    client = app.test_client()
    with app.extensions["cifake"].batch_slot():
        response = send_files(client, PICTURES)
        assert (response.status_code, response.headers["Retry-After"]) == (429, "1")
        assert client.post("/predict", data=grey(1)).status_code == 200
    check(send_files(client, PICTURES), outputs)
    assert send_files(client, {"x": b"no picture"}).status_code == 422
    check(send_files(client, PICTURES), outputs)  # an error releases the slot
