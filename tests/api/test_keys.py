import stat
import threading
from pathlib import Path

import pytest

from api import keys
from api.keys import main
from api.security.key_file import digest, read_keys


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "keys.json"


def run(*arguments: object) -> int | str:
    return main([str(argument) for argument in arguments])


def test_a_key_is_printed_once_and_only_its_digest_is_kept(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("new", "alice", "--file", path) == 0
    output = capsys.readouterr()
    key = output.out.strip()
    assert "shown once" in output.err
    assert run("new", "root", "--admin", "--file", path) == 0
    assert key not in path.read_text()
    assert [(entry.name, entry.role) for entry in read_keys(path)] == [("alice", "user"), ("root", "admin")]
    assert read_keys(path)[0].sha256 == digest(key)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_keys_are_listed_and_revoked(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run("new", "alice", "--file", path)
    run("new", "root", "--admin", "--file", path)
    printed = capsys.readouterr().out.split()
    assert run("list", "--file", path) == 0
    listed = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert listed == [["alice", "user"], ["root", "admin"]]
    assert run("revoke", "alice", "--file", path) == 0
    run("list", "--file", path)
    listing = capsys.readouterr().out
    assert "alice" not in listing
    assert not any(key in listing for key in printed)


def test_the_file_is_that_of_the_service_by_default(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for value in ("none", None):
        monkeypatch.delenv("CIFAKE_KEYS_FILE", raising=False)
        if value:
            monkeypatch.setenv("CIFAKE_KEYS_FILE", value)
        assert run("list") == "error: say which file: --file FILE, or CIFAKE_KEYS_FILE"
    monkeypatch.setenv("CIFAKE_KEYS_FILE", str(path))
    assert run("new", "alice") == 0
    assert [key.name for key in read_keys(path)] == ["alice"]


def test_what_is_wrong_is_one_sentence_and_changes_nothing(path: Path) -> None:
    run("new", "alice", "--file", path)
    before = path.read_bytes()
    for arguments, words in (
        (("new", "alice"), "there is a key of the name alice: revoke it first, or take another name"),
        (("new", "two words"), "a key's name is 1 to 64 of the letters a to z, digits"),
        (("revoke", "bob"), "there is no key of the name bob"),
    ):
        message = run(*arguments, "--file", path)
        assert isinstance(message, str)
        assert message.startswith(f"error: {path}: {words}")
    assert path.read_bytes() == before
    path.write_text("[")
    for arguments in (("new", "bob"), ("revoke", "alice"), ("list",)):
        assert str(run(*arguments, "--file", path)).startswith(f"error: {path}: it is not a file of keys: ")
    assert path.read_text() == "["


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    path = tmp_path / "file" / "keys.json"
    for command in ("new", "revoke"):
        assert str(run(command, "alice", "--file", path)).startswith(f"error: {path} cannot be written: ")


def test_keys_that_are_made_at_once_are_all_kept(path: Path) -> None:
    threads = [threading.Thread(target=keys.new, args=(path, f"key-{number}", False)) for number in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert {key.name for key in read_keys(path)} == {f"key-{number}" for number in range(10)}
