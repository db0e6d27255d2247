import gzip
import io
import json
import shutil
import stat
from pathlib import Path

import numpy as np
import pytest
from flask.testing import FlaskClient

from tests.abuse.archives import ZipEntry, raw_zip, unicode_path, with_checksum
from tests.api.routes.batch.sending import (
    MANY_PIXELS,
    PICTURES,
    grey,
    send_archive,
    send_raw_files,
    send_raw_zip,
    two,
)
from tests.pictures import encode, tarred

LONG = "x" * 251 + ".png"  # 255 characters
LATIN = "é.png".encode("latin-1")
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
