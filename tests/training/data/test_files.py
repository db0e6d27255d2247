import os
from pathlib import Path

import pytest

from training.data.files import MAX_BYTES, read_bytes, walk


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_pictures_are_found_in_natural_order_with_subfolders_last(tmp_path: Path) -> None:
    names = ["2.png", "10.JPEG", "a/1.webp", "a/b/3.tif", "a/b/x.png/4.gif", "b10/5.bmp"]
    touch(*(tmp_path / name for name in names), tmp_path / "a" / "notes.txt", tmp_path / "README")
    assert [str(path.relative_to(tmp_path)) for path in walk(tmp_path)] == names


def test_hidden_files_and_links_to_folders_are_left_out(tmp_path: Path) -> None:
    touch(tmp_path / "here" / "1.png", tmp_path / "here" / ".2.png", tmp_path / "here" / ".venv" / "3.png")
    touch(tmp_path / "there" / "4.png")
    (tmp_path / "here" / "loop").symlink_to(tmp_path / "here")
    (tmp_path / "here" / "linked.png").symlink_to(tmp_path / "there" / "4.png")
    (tmp_path / "here" / "folder.png").symlink_to(tmp_path / "there")
    assert [path.name for path in walk(tmp_path / "here")] == ["1.png", "linked.png"]


def test_a_folder_that_cannot_be_listed_comes_itself(tmp_path: Path) -> None:
    [folder] = walk(tmp_path / "nowhere")
    assert folder == tmp_path / "nowhere"
    with pytest.raises(FileNotFoundError):
        read_bytes(folder)


def test_content_is_read(tmp_path: Path) -> None:
    for content in (b"", b"\0", bytes(range(256)) * 1000):
        (tmp_path / "x.png").write_bytes(content)
        assert read_bytes(tmp_path / "x.png") == content


def test_a_large_file_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "x.png", "wb") as file:
        file.truncate(MAX_BYTES + 1)
    with pytest.raises(OSError, match=f"{MAX_BYTES + 1} bytes: a file may have {MAX_BYTES} at most"):
        read_bytes(tmp_path / "x.png")


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "x.png")
    for path in (tmp_path / "x.png", Path("/dev/zero")):
        with pytest.raises(OSError, match="this is a pipe or a device, not a file"):
            read_bytes(path)
    with pytest.raises(IsADirectoryError):
        read_bytes(tmp_path)
