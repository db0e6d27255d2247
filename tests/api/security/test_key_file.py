import hashlib
import json
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.security.key_file import KEYS, MAX_FILE_BYTES, NAME, Key, KeyFileError, read_keys, write_keys

ENTRY = {"name": "a", "role": "user", "created": "2026-01-01T00:00:00Z", "sha256": "0" * 64}


def test_a_key_has_256_random_bits_and_its_digest_is_kept() -> None:
    made = [Key.new("alice", "user") for _ in range(100)]
    assert len({text for _, text in made}) == 100
    for key, text in made:
        assert len(text) == len("cifake_") + 43  # 6 bits a character
        assert key.sha256 == hashlib.sha256(text.encode()).hexdigest()
        assert text not in key.model_dump_json()


@settings(derandomize=True, deadline=None)
@given(st.from_regex(NAME, fullmatch=True) | st.text(max_size=70))
def test_names(name: str) -> None:
    if NAME.fullmatch(name):
        assert Key.new(name, "user")[0].name == name
    else:
        with pytest.raises(KeyFileError, match="a key's name is 1 to 64"):
            Key.new(name, "user")


def test_what_is_written_is_read_and_only_the_owner_may(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    keys = [Key.new(f"key-{number}", "admin" if number % 2 else "user")[0] for number in range(3)]
    for some in (keys, [], keys[:1]):
        write_keys(path, some)
        assert read_keys(path) == some
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [file.name for file in tmp_path.iterdir()] == ["keys.json"]


DAMAGED = {
    b"": "file: invalid JSON: ",
    b"[": "file: invalid JSON: ",
    b"{}": "file: input should be a valid array",
    b'["SECRET"]': "entry 1: input should be an object",
    KEYS.dump_json([]) + b"x": "file: invalid JSON: ",
    b"\xff\xfe": "file: invalid JSON: ",
    b"[" * 100_000: "file: invalid JSON: ",
    bytes(MAX_FILE_BYTES + 1): "it has more than 1048576 bytes",
}
WRONG = {
    "name": ["", "a b", "a\n", "x" * 65, "SECRET/", None],
    "role": ["SECRET", "Admin", None],
    "created": ["SECRET", "2026-01-01T00:00:00"],
    "sha256": ["SECRET", "0" * 63, "G" * 64, "0" * 64 + "\n"],
    "SECRET": ["more"],
}


@pytest.mark.parametrize("data", DAMAGED)
def test_a_damaged_file_is_one_sentence(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    path.write_bytes(data)
    with pytest.raises(KeyFileError) as raised:
        read_keys(path)
    message = str(raised.value)
    assert DAMAGED[data] in message
    assert "SECRET" not in message
    assert "\n" not in message


@pytest.mark.parametrize(("member", "value"), [(name, value) for name in WRONG for value in WRONG[name]])
def test_a_damaged_entry_is_told_without_its_content(member: str, value: object, tmp_path: Path) -> None:
    """Somebody may have written keys into the file."""
    path = tmp_path / "keys.json"
    path.write_text(json.dumps([ENTRY | {"name": "b", "sha256": "1" * 64}, ENTRY | {member: value}]))
    told = member if member in ENTRY else "another member"
    with pytest.raises(KeyFileError, match=f"it is not a file of keys: entry 2, {told}: [a-z]") as raised:
        read_keys(path)
    assert "SECRET" not in str(raised.value)


@pytest.mark.parametrize("twice", [{"name": "b"}, {"sha256": "1" * 64}])
def test_names_and_keys_are_unique(twice: dict[str, str], tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    write_keys(path, [Key.model_validate(ENTRY), Key.model_validate(ENTRY | twice)])
    with pytest.raises(KeyFileError, match="twice"):
        read_keys(path)


def test_what_is_no_file_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # opening it would wait for a writer
    for path in (tmp_path / "nowhere", tmp_path, tmp_path / "pipe"):
        with pytest.raises(KeyFileError, match=r"there is no such file; `python -m api\.keys new NAME"):
            read_keys(path)
