import io
import json
import socket
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from tests.api.routes.batch.sending import PICTURES, check, grey, send_archive, send_files
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise, tarred, zipped


def test_repeated_files(client: FlaskClient, outputs: Path) -> None:
    check(send_files(client, PICTURES), outputs)


def test_zip(client: FlaskClient, outputs: Path) -> None:
    check(send_archive(client, zipped(PICTURES)), outputs)


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_tar(mode: str, client: FlaskClient, outputs: Path) -> None:
    check(send_archive(client, tarred(PICTURES, mode)), outputs)


def test_folders_and_system_files_are_skipped(client: FlaskClient, outputs: Path) -> None:
    files = {f"test_images/{name}": content for name, content in PICTURES.items()}
    files |= {"__MACOSX/._1.png": b"x", "test_images/.DS_Store": b"x", "empty/": b""}
    check(send_archive(client, zipped(files)), outputs)


@pytest.mark.parametrize("team", ["Team Rocket", "a.b-c_1", "7"])
def test_valid_team_names(team: str, client: FlaskClient, outputs: Path) -> None:
    check(send_files(client, PICTURES, team), outputs, team)


@pytest.mark.parametrize("team", ["../x", "", "x" * 200, "a/b", "a\\b", ".x", "x\n", "..", "x\0", "é"])
def test_invalid_team_names_are_rejected(team: str, client: FlaskClient, outputs: Path) -> None:
    response = send_files(client, PICTURES, team)
    assert response.status_code == 400
    assert "?team=NAME" in response.json["detail"]
    assert not outputs.exists()


def test_an_html_form_with_an_unused_input(client: FlaskClient, outputs: Path) -> None:
    def nothing() -> tuple[io.BytesIO, str]:
        return io.BytesIO(), ""

    files = [(io.BytesIO(data), name) for name, data in PICTURES.items()]
    check(client.post("/batch?team=x", data={"files": files, "archive": nothing()}), outputs)
    archive = (io.BytesIO(zipped(PICTURES)), "x.zip")
    check(client.post("/batch?team=x", data={"files": [nothing()], "archive": archive}), outputs)
    assert client.post("/batch?team=x", data={"files": [nothing()], "archive": nothing()}).status_code == 400


def test_pictures_of_other_sizes_are_counted(client: FlaskClient) -> None:
    sizes = {"1.png": (40, 40), "2.png": (500, 300), "3.png": (32, 32)}
    pictures = {name: encode(noise(0, *size)) for name, size in sizes.items()}
    headers = send_archive(client, zipped(pictures)).headers
    assert (headers["X-Out-Of-Domain-Count"], headers["X-Out-Of-Domain-Size-Count"]) == ("2", "2")


def test_unreadable_pictures_are_left_out_and_listed(client: FlaskClient, outputs: Path) -> None:
    bad = PICTURES | {"3.png": grey(3)[:60], "notes.txt": b"hello"}
    response = send_archive(client, zipped(bad))
    assert [row["image_id"] for row in response.json] == ["1.png", "2.png", "10.png", "100.png"]
    assert response.headers["X-Unreadable-Count"] == "2"
    assert response.headers["X-Out-Of-Domain-Count"] == "3"  # too dark for the stub
    assert response.headers["X-Out-Of-Domain-Size-Count"] == "0"
    listed = json.loads((outputs / "x_unreadable.json").read_bytes())
    assert [row["image_id"] for row in listed] == ["3.png", "notes.txt"]
    assert "cut short" in listed[0]["error"]
    # The next batch without unreadable files removes the list.
    check(send_archive(client, zipped(PICTURES)), outputs)


def test_nothing_readable(client: FlaskClient, outputs: Path) -> None:
    response = send_archive(client, zipped({"a.txt": b"a", "b.txt": b"b"}))
    assert response.status_code == 422
    assert "none of the 2 files" in response.json["detail"]
    assert [row["image_id"] for row in response.json["unreadable"]] == ["a.txt", "b.txt"]
    assert not outputs.exists()


def test_empty_archive(client: FlaskClient) -> None:
    response = send_archive(client, zipped({}))
    assert response.status_code == 422
    assert "no file" in response.json["detail"]


def test_either_label_can_be_the_positive_one(client: FlaskClient, outputs: Path) -> None:
    data = {"archive": (io.BytesIO(zipped(PICTURES)), "x.zip")}
    response = client.post("/batch?team=x&positive=FAKE", data=data)
    assert response.headers["X-Prediction"] == "P(FAKE)"
    assert response.headers["X-Label-1-In-Training-Data"] == "REAL; assumed"
    for row in response.json:
        value = int(row["image_id"].removesuffix(".png"))
        assert row["prediction"] == pytest.approx(1 - value / 255, abs=1e-6)
    assert (outputs / "x_prediction.json").read_bytes() == response.data
    as_field = {"archive": (io.BytesIO(zipped(PICTURES)), "x.zip"), "positive": "FAKE"}
    assert client.post("/batch?team=x", data=as_field).data == response.data
    assert send_files(client, PICTURES).headers["X-Prediction"] == "P(REAL)"


@pytest.mark.parametrize(("data", "value"), [({}, "REAL; assumed"), ({"label_1": "REAL"}, "REAL")])
def test_what_label_1_was(
    data: dict, value: str, client: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`assumed` where the checkpoint does not say it."""
    monkeypatch.setattr(MeanPredictor, "metadata", replace(MeanPredictor.metadata, data=data))
    assert send_files(client, PICTURES).headers["X-Label-1-In-Training-Data"] == value


@pytest.mark.parametrize("word", ["", "fake", "PHOTO", "1"])
def test_invalid_positive_classes_are_rejected(word: str, client: FlaskClient, outputs: Path) -> None:
    data = {"archive": (io.BytesIO(zipped(PICTURES)), "x.zip")}
    response = client.post("/batch", query_string={"team": "x", "positive": word}, data=data)
    assert response.status_code == 400
    assert "REAL or FAKE" in response.json["detail"]
    assert not outputs.exists()


def test_batches_are_not_limited_by_the_queue_size(outputs: Path) -> None:
    app = served(output_dir=str(outputs), queue_size=1, batch_size=2)
    files = {f"{i}.png": grey(i) for i in range(20)}
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda n: send_files(app.test_client(), files, f"t{n}"), range(6)))
    assert [len(answer.json) for answer in answers] == [20] * 6


def test_an_unwritable_output_folder_is_detected_first(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    app = served(output_dir=str(tmp_path / "file" / "outputs"))
    assert "CIFAKE_OUTPUT_DIR cannot be written to" in caplog.text
    app.extensions["cifake"].batcher = None  # nothing is computed
    response = send_files(app.test_client(), PICTURES)
    assert response.status_code == 507
    assert "CIFAKE_OUTPUT_DIR cannot be written to" in response.json["detail"]


def test_concurrent_batches_of_one_team_write_consistent_files(client: FlaskClient, outputs: Path) -> None:
    """The list of unreadable files must belong to the predictions beside it."""
    clean, dirty = {"1.png": grey(1)}, {"2.png": grey(2), "bad.png": b"x"}
    app = client.application
    with ThreadPoolExecutor(8) as pool:
        for _ in range(20):
            done = [pool.submit(send_files, app.test_client(), files) for files in (clean, dirty) * 4]
            assert {future.result().status_code for future in done} == {200}
            [row] = json.loads((outputs / "x_prediction.json").read_bytes())
            assert (outputs / "x_unreadable.json").exists() == (row["image_id"] == "2.png")


@pytest.mark.parametrize("stays", [True, False])
def test_a_disconnected_client_is_detected(stays: bool, outputs: Path) -> None:
    app = served(output_dir=str(outputs), batch_size=2)
    ours, theirs = socket.socketpair()
    if not stays:
        theirs.close()
    data = {"archive": (io.BytesIO(zipped(PICTURES)), "x.zip")}
    with ours, theirs:
        environ = {"gunicorn.socket": ours}
        response = app.test_client().post("/batch?team=x", data=data, environ_overrides=environ)
    assert response.status_code == (200 if stays else 499)
    assert outputs.exists() == stays


def test_picture_of_another_size(client: FlaskClient) -> None:
    rows = send_files(client, {"large.png": encode(noise(0, 100, 50))}).json
    assert rows[0]["prediction"] == pytest.approx(noise(0, 100, 50).mean() / 255, abs=0.02)
