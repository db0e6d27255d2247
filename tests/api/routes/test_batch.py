import gc
import gzip
import io
import json
import shutil
import socket
import stat
import tarfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.abuse.archives import ZipEntry, raw_zip, unicode_path, with_checksum
from tests.conftest import MeanPredictor, served
from tests.pictures import encode, noise, zipped


def grey(value: int) -> bytes:
    return encode(np.full((32, 32, 3), value, np.uint8))


PICTURES = {f"{i}.png": grey(i) for i in (10, 2, 1, 100)}


def send_files(client: FlaskClient, files: dict[str, bytes], team: str = "x") -> TestResponse:
    data = {"files": [(io.BytesIO(content), name) for name, content in files.items()]}
    return client.post("/batch", query_string={"team": team}, data=data)


def send_archive(client: FlaskClient, archive: bytes, team: str = "x") -> TestResponse:
    data = {"archive": (io.BytesIO(archive), "pictures")}
    return client.post("/batch", query_string={"team": team}, data=data)


def tarred(files: dict[str, bytes], mode: str) -> bytes:
    file = io.BytesIO()
    with tarfile.open(mode=mode, fileobj=file) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def check(response: TestResponse, outputs: Path, team: str = "x") -> None:
    assert response.status_code == 200
    assert [row["image_id"] for row in response.json] == ["1.png", "2.png", "10.png", "100.png"]
    for row in response.json:
        assert set(row) == {"image_id", "prediction"}
        value = int(row["image_id"].removesuffix(".png"))
        assert row["prediction"] == pytest.approx(value / 255, abs=1e-6)
    assert (outputs / f"{team}_prediction.json").read_bytes() == response.data
    assert [path.name for path in outputs.iterdir()] == [f"{team}_prediction.json"]


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


def two(*paths: str, picture: bytes = grey(2)) -> dict[str, bytes]:
    """The same picture at these paths."""
    return dict.fromkeys(paths, picture)


LONG = "x" * 251 + ".png"  # 255 characters
LATIN = "é.png".encode("latin-1")
LARGE = b"\x89PNG" + b"x" * 250_000
MANY_PIXELS = encode(np.zeros((600, 600), np.uint8))
LONG_JPEG = (
    (jpeg := encode(grey_pixels := np.full((32, 32, 3), 9, np.uint8), "JPEG"))[:2]
    + (b"\xff\xe2\xff\xff" + bytes(65_533)) * 2
    + jpeg[2:]
)
ODD_TIFF = b"II\0*" + encode(grey_pixels, "TIFF")[4:]  # invalid, but read
SYMLINK = ZipEntry(b"1.png", b"0.png", host=3, mode=stat.S_IFLNK | 0o777)


@pytest.mark.parametrize("as_files", [True, False])
@pytest.mark.parametrize(
    ("files", "basenames", "paths", "unreadable"),
    [
        (two("1.png"), ["1.png"], ["1.png"], []),
        (two("top/1.png", "top/2.png"), ["1.png", "2.png"], ["top/1.png", "top/2.png"], []),
        (two("b/1.png", "a/1.png", "1.png"), "'1.png'", ["1.png", "a/1.png", "b/1.png"], []),
        (two("a/2.png", "a/10.png"), ["2.png", "10.png"], ["a/2.png", "a/10.png"], []),
        (two("a/2/1.png", "a/10/1.png"), "'1.png'", ["a/2/1.png", "a/10/1.png"], []),
        (two("./a//1.png"), ["1.png"], ["a/1.png"], []),
        (two("a\\1.png", "b/1.png"), "'1.png'", ["a/1.png", "b/1.png"], []),
        (two("a/1.png", "a\\1.png"), "'1.png'", "'a/1.png'", []),
        (two("A/1.png", "a/1.PNG"), ["1.PNG", "1.png"], ["A/1.png", "a/1.PNG"], []),
        (two("写/é.png", "表/é.png"), "'é.png'", ["写/é.png", "表/é.png"], []),
        (two("a\x7fb.png", "a\tb.png"), ["a\tb.png", "a\x7fb.png"], ["a\tb.png", "a\x7fb.png"], []),
        (two(LONG), [LONG], [LONG], []),
        (two("x" + LONG), "255 characters", "255 characters", []),
        (two("a/" * 510 + "1.png"), "1024 with its folders", "1024 with its folders", []),
        # What is no picture may have any name, and is listed with its folders.
        (
            two("1.png") | two("a/readme.txt", "b/readme.txt", picture=b"text"),
            ["1.png"], ["1.png"], ["a/readme.txt", "b/readme.txt"],
        ),
        (two("a/1.png") | {"b/1.png": b"text"}, ["1.png"], ["a/1.png"], ["b/1.png"]),
        (two("0.png") | two("a/1", "b/1", picture=MANY_PIXELS), ["0.png"], ["0.png"], ["a/1", "b/1"]),
        (two("0.png") | two("a/1", "b/1", picture=b"BMW is a car, "), ["0.png"], ["0.png"], ["a/1", "b/1"]),
        # Pictures of which the beginning does not tell the size.
        (two("a/1", "b/1", picture=LONG_JPEG), "'1'", ["a/1", "b/1"], []),
        (two("a/1", "b/1", picture=encode(grey_pixels, "TIFF")), "'1'", ["a/1", "b/1"], []),
        (two("a/1", "b/1", picture=ODD_TIFF), "'1'", ["a/1", "b/1"], []),
    ],
)  # fmt: skip
def test_names(
    files: dict[str, bytes],
    basenames: list[str] | str,
    paths: list[str] | str,
    unreadable: list[str],
    as_files: bool,
    client: FlaskClient,
    outputs: Path,
) -> None:
    """The `image_id` of each result, or what the detail of a 400 has in it."""
    send = send_raw_files if as_files else send_raw_zip
    for query, expected in (("", basenames), ("&names=basename", basenames), ("&names=path", paths)):
        response = send(client, files, query)
        if isinstance(expected, str):
            assert response.status_code == 400
            assert expected in response.json["detail"]
            assert not outputs.exists()
            continue
        assert [row["image_id"] for row in response.json] == expected
        assert response.headers["X-Unreadable-Count"] == str(len(unreadable))
        listed = outputs / "x_unreadable.json"
        found = [row["image_id"] for row in json.loads(listed.read_bytes())] if unreadable else []
        assert found == unreadable
        assert listed.exists() == bool(unreadable)
        shutil.rmtree(outputs)


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


@pytest.mark.parametrize(
    ("name", "basename", "path"),
    [
        ("C:\\fakepath\\1.png", "1.png", "fakepath/1.png"),
        ("/home/me/1.png", "1.png", "home/me/1.png"),
        ("../../1.png", "1.png", "1.png"),
        ("a/../1.png", "1.png", "a/1.png"),
    ],
)
def test_paths_of_a_form_are_cleaned(name: str, basename: str, path: str, client: FlaskClient) -> None:
    for query, expected in (("", basename), ("&names=path", path)):
        [row] = send_raw_files(client, {name: grey(1)}, query).json
        assert row["image_id"] == expected


def test_the_remedy_for_equal_names(client: FlaskClient) -> None:
    archive = {"REAL/1.png": grey(1), "FAKE/1.png": grey(2)}
    assert "?names=path" in send_raw_zip(client, archive, "").json["detail"]
    same = tarred(archive, "w").replace(b"REAL/1.png", b"FAKE/1.png")
    data = {"archive": (io.BytesIO(with_checksums(same)), "x.tar")}
    detail = client.post("/batch?team=x&names=path", data=data).json["detail"]
    assert "two pictures are named 'FAKE/1.png'" in detail
    assert "?names=path" not in detail


def with_checksums(data: bytes) -> bytes:
    """A tar of small files with the checksums of its headers computed anew."""
    blocks = [data[at : at + 512] for at in range(0, len(data), 512)]
    return b"".join(with_checksum(block) if block[257:262] == b"ustar" else block for block in blocks)


@pytest.mark.parametrize("word", ["", "paths", "Path", "basename,path"])
def test_invalid_kinds_of_names_are_rejected(word: str, client: FlaskClient, outputs: Path) -> None:
    response = send_raw_zip(client, PICTURES, f"&names={word}")
    assert response.status_code == 400
    assert "names must be basename or path" in response.json["detail"]
    assert not outputs.exists()


def test_names_of_a_latin_1_tar(client: FlaskClient, outputs: Path) -> None:
    names = (
        name.encode("latin-1").decode("utf-8", "surrogateescape") for name in ("é.png", "è.png", "ç.txt")
    )
    archive = tarred(dict(zip(names, (grey(1), grey(2), b"text"), strict=True)), "w")
    response = send_archive(client, archive)
    assert [row["image_id"] for row in json.loads(response.data)] == ["è.png", "é.png"]
    [listed] = json.loads((outputs / "x_unreadable.json").read_bytes())
    assert listed["image_id"] == "ç.txt"
    for text in (response.data, (outputs / "x_unreadable.json").read_bytes()):
        assert b"\\ud" not in text


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([ZipEntry(b"folder\\"), ZipEntry(b"folder\\1.png", grey(1))], ["1.png"]),  # PowerShell's
        ([ZipEntry(LATIN, grey(1))], ["Θ.png"]),  # code page 437
        ([ZipEntry(LATIN, grey(1), extra=unicode_path("é.png".encode(), LATIN))], ["é.png"]),
        ([ZipEntry(b"1.png", grey(1), host=3, mode=0o100644)], ["1.png"]),
        ([ZipEntry(b"a\nb.png", grey(1))], ["a\nb.png"]),
        ([ZipEntry(b"0.png", grey(1)), SYMLINK], "'1.png' is a link or device"),
        ([ZipEntry(b"0.png", grey(1)), SYMLINK._replace(name=b"__MACOSX/1.png")], ["0.png"]),
        ([ZipEntry(b"", grey(1))], "no name"),
        ([ZipEntry(b"1\0.png", grey(1))], "NUL"),
    ],
)
def test_entries_of_zips(entries: list[ZipEntry], expected: list[str] | str, client: FlaskClient) -> None:
    response = send_archive(client, raw_zip(*entries))
    if isinstance(expected, str):
        assert response.status_code == 400
        assert expected in response.json["detail"]
    else:
        assert [row["image_id"] for row in response.json] == expected
        assert response.headers["X-Unreadable-Count"] == "0"


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
        (b"Rar!\x1a\7\1\0", "a RAR archive"),
        (b"MSCF\0\0\0\0", "a CAB archive"),
        (b"%PDF-1.7", "PDF"),
        (gzip.compress(grey(1), mtime=0), "what it was decompressed to is"),
    ],
)
def test_other_archives(data: bytes, kind: str, client: FlaskClient) -> None:
    response = send_archive(client, data)
    assert response.status_code == 415
    assert kind in response.json["detail"]
    assert ".zip, .tar, .tar.gz, .tar.bz2 or .tar.xz" in response.json["detail"]


def test_names_that_are_long_together(client: FlaskClient, outputs: Path) -> None:
    folders = "/".join(["😀" * 250] * 4)
    files = {f"{folders}/{number}.png": grey(1) for number in range(300)}
    response = send_archive(client, tarred(files, "w:gz"))
    assert response.status_code == 413
    assert "names of the files" in response.json["detail"]
    assert len(send_archive(client, tarred(dict(list(files.items())[:250]), "w:gz")).json) == 250


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
