"""Pictures from each source, on stand-ins for Colab and Kaggle."""

import stat
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

import pytest

from tests.trees import cifake_tree, hackathon_tree
from training.data.errors import DataError
from training.notebooks import pictures
from training.notebooks.pictures import fetch


def zipped(folder: Path, archive: Path, inside: str = "") -> Path:
    """A ZIP of a folder's files, below `inside`, with what macOS adds."""
    with ZipFile(archive, "w") as entries:
        for path in sorted(folder.rglob("*.*")):
            name = f"{inside}{path.relative_to(folder).as_posix()}"
            entries.write(path, name)
            entries.writestr(f"__MACOSX/{name}", b"")
    return archive


def files(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    return hackathon_tree(tmp_path / "tree", count=2, test=1)


@pytest.fixture
def into(tmp_path: Path) -> Path:
    return tmp_path / "into"


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **functions: Callable) -> None:
    """A module that is imported under `name`, with these functions."""
    module = ModuleType(name)
    vars(module).update(functions)
    monkeypatch.setitem(sys.modules, name, module)
    parent, _, child = name.rpartition(".")
    if parent:
        package = ModuleType(parent)
        setattr(package, child, module)
        monkeypatch.setitem(sys.modules, parent, package)


@pytest.mark.parametrize("make", [hackathon_tree, cifake_tree])
@pytest.mark.parametrize("inside", ["", "data/", "my data/all of it/"])
def test_an_archive_is_unpacked_and_the_data_set_found_in_it(
    tmp_path: Path, into: Path, make: Callable[[Path], Path], inside: str
) -> None:
    archive = zipped(make(tmp_path / "tree"), tmp_path / "pictures.zip", inside)
    first = fetch("path", str(archive), into)
    assert {n: f for n, f in files(first).items() if "__MACOSX" not in n} == files(tmp_path / "tree")
    assert first.is_relative_to(into)
    assert fetch("path", str(archive), into) != first  # what is there is left alone


def test_a_folder_is_taken_as_it_is(tree: Path, into: Path) -> None:
    assert fetch("path", str(tree), into) == tree
    assert fetch("path", str(tree.parent), into) == tree
    assert not into.exists()


@pytest.mark.parametrize("name", ["../out.png", "/tmp/../out.png", "a/../../out.png", "C:/../../out.png"])
def test_nothing_is_written_outside_the_folder(tmp_path: Path, into: Path, name: str) -> None:
    archive = tmp_path / "pictures.zip"
    with ZipFile(archive, "w") as entries:
        entries.writestr(name, b"picture")
        link = ZipInfo("link")
        link.external_attr = (stat.S_IFLNK | 0o777) << 16
        entries.writestr(link, "/etc")
    before = {*tmp_path.rglob("*")}
    folder = pictures.unpack(archive, into)
    assert {p for p in {*tmp_path.rglob("*")} - before if not p.is_relative_to(folder)} == {into}
    assert sum(p.name == "out.png" for p in folder.rglob("*")) == 1
    assert not any(p.is_symlink() for p in folder.rglob("*"))


def encrypted(archive: Path) -> None:
    """Set the flag of a password in each entry's header and in the directory."""
    content = bytearray(archive.read_bytes())
    for signature, offset in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        at = content.find(signature)
        while at >= 0:
            content[at + offset] |= 1
            at = content.find(signature, at + 4)
    archive.write_bytes(content)


def cut(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes()[:-30])


def damaged(archive: Path) -> None:
    archive.write_bytes(archive.read_bytes().replace(b"IDAT", b"IDIT"))


def garbled(archive: Path) -> None:
    """Compressed data that begins with a block of no type."""
    with ZipFile(archive, "w", ZIP_DEFLATED) as entries:
        entries.writestr("a", b"a" * 1000)
    content = bytearray(archive.read_bytes())
    content[31] = 0xFF
    archive.write_bytes(content)


def clashing(archive: Path) -> None:
    with ZipFile(archive, "w") as entries:
        entries.writestr("a", b"a file")
        entries.writestr("a/b", b"a file in a folder of that name")


@pytest.mark.parametrize("spoil", [encrypted, cut, damaged, garbled, clashing])
def test_an_archive_that_cannot_be_unpacked_is_refused_and_leaves_nothing(
    tree: Path, into: Path, spoil: Callable[[Path], None]
) -> None:
    archive = zipped(tree, tree.parent / "pictures.zip")
    spoil(archive)
    with pytest.raises(DataError, match=r"pictures\.zip cannot be unpacked as a ZIP: \S"):
        fetch("path", str(archive), into)
    assert [*into.iterdir()] == []


@pytest.mark.parametrize("limit", ["MAX_FILES", "MAX_BYTES"])
def test_an_archive_over_the_limits_is_not_unpacked(
    tree: Path, into: Path, limit: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = zipped(tree, tree.parent / "pictures.zip")
    monkeypatch.setattr(pictures, limit, 3)
    with pytest.raises(DataError, match=r"pictures\.zip has \d+ files of \d+ bytes, more than "):
        fetch("path", str(archive), into)
    assert [*into.iterdir()] == []


@pytest.mark.parametrize(
    ("source", "path", "message"),
    [
        ("kagle", "", "SOURCE is 'kagle': set it to one of upload, drive, kaggle, path"),
        ("path", "", "there is no .: set PATH to a data set's folder or ZIP, or change SOURCE"),
        ("path", "no such", "there is no no such: set PATH to a data set's folder or ZIP, or change SOURCE"),
        ("upload", "", "pictures can be uploaded on Colab only: set SOURCE to path or kaggle"),
        (
            "drive",
            "a",
            "Google Drive can be mounted on Colab only: set SOURCE to path, and untick KEEP_ON_DRIVE",
        ),
        ("kaggle", "", "kagglehub is not installed: run `pip install kagglehub`, or change SOURCE"),
    ],
)
def test_a_source_that_is_not_there_is_told(
    source: pictures.Source, path: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("google.colab", "kagglehub"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(DataError) as raised:
        fetch(source, path)
    assert str(raised.value) == message


def test_a_folder_that_is_no_data_set_is_refused_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "one" / "two").mkdir(parents=True)
    hackathon_tree(tmp_path / "one" / "two" / "three", count=1, test=1)
    with pytest.raises(DataError, match=rf"^{tmp_path} is neither a CIFAKE tree"):
        fetch("path", str(tmp_path))


def test_an_upload_is_one_archive(tree: Path, into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = zipped(tree, tree.parent / "pictures.zip")

    def upload_file(filename: str) -> None:
        Path(filename).write_bytes(archive.read_bytes())

    stand_in(monkeypatch, "google.colab.files", upload_file=upload_file)
    assert files(fetch("upload", "", into)).keys() >= files(tree).keys()


def test_an_upload_that_is_not_one_file_is_told(into: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload_file(filename: str) -> None:
        raise ValueError("File has not been uploaded")

    stand_in(monkeypatch, "google.colab.files", upload_file=upload_file)
    with pytest.raises(DataError, match="run this cell again and choose one ZIP: File has not been uploaded"):
        fetch("upload", "", into)


def test_drive_is_mounted_and_kaggle_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mount(folder: str) -> None:
        hackathon_tree(Path(folder) / "MyDrive" / "hackathon", count=1, test=1)

    def dataset_download(name: str) -> str:
        assert name == pictures.CIFAKE
        return str(cifake_tree(tmp_path / "kaggle", train=1, test=1))

    monkeypatch.setattr(pictures, "DRIVE", tmp_path / "drive")
    stand_in(monkeypatch, "google.colab.drive", mount=mount)
    stand_in(monkeypatch, "kagglehub", dataset_download=dataset_download)
    assert fetch("drive", "hackathon") == tmp_path / "drive" / "MyDrive" / "hackathon"
    assert fetch("kaggle", "") == tmp_path / "kaggle"
