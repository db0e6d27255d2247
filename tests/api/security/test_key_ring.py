import threading
from pathlib import Path

import pytest

from api.security import key_ring
from api.security.key_file import Key, KeyFileError, write_keys
from api.security.key_ring import CHECK_SECONDS, KeyRing

ALICE, ALICES = Key.new("alice", "user")
BOB, BOBS = Key.new("bob", "admin")


class Clock:
    now = 1000.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(key_ring, "time", clock)
    return clock


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    write_keys(path, [ALICE])
    return path


def test_a_key_is_found_by_all_of_its_text(path: Path) -> None:
    ring = KeyRing(path)
    ring.load()
    assert ring.find(ALICES) == ALICE
    for text in (
        None,
        "",
        ALICES[:-1],
        f"{ALICES}x",
        ALICES.upper(),
        BOBS,
        ALICE.sha256,
        "\udcff",
        "é" * 9000,
    ):
        assert ring.find(text) is None


def test_keys_follow_their_file_within_a_second(path: Path, clock: Clock) -> None:
    ring = KeyRing(path)
    ring.load()
    assert ring.find(ALICES)
    write_keys(path, [BOB])
    clock.now += CHECK_SECONDS
    assert (ring.find(ALICES), ring.find(BOBS)) == (None, BOB)
    write_keys(path, [])
    assert ring.find(BOBS) == BOB  # not looked at yet
    clock.now += CHECK_SECONDS
    assert ring.find(BOBS) is None


@pytest.mark.parametrize("damage", ["write", "remove", "folder"])
def test_a_damaged_file_changes_nothing_and_is_told_once(
    damage: str, path: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    ring = KeyRing(path)
    ring.load()
    if damage == "write":
        path.write_text("[")
    else:
        path.unlink()
    if damage == "folder":
        path.mkdir()
    for _ in range(5):
        clock.now += CHECK_SECONDS
        assert ring.find(ALICES) == ALICE
    [record] = caplog.records
    assert record.getMessage().startswith(f"CIFAKE_KEYS_FILE={path}: ")
    assert record.getMessage().endswith("; the former 1 keys hold")
    if damage == "folder":
        path.rmdir()
    write_keys(path, [BOB])
    clock.now += CHECK_SECONDS
    assert (ring.find(ALICES), ring.find(BOBS)) == (None, BOB)


def test_without_a_file_nobody_is_known(tmp_path: Path) -> None:
    ring = KeyRing(tmp_path / "nowhere")
    with pytest.raises(KeyFileError, match="there is no such file"):
        ring.load()
    assert ring.find(ALICES) is None


def test_a_request_costs_at_most_a_look_a_second(
    path: Path, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[Path] = []
    monkeypatch.setattr(key_ring, "_version", looks.append)
    ring = KeyRing(path)
    for tenth in range(50):
        clock.now = 1000 + tenth / 10
        ring.find(BOBS)
    assert len(looks) == 5


def test_threads_find_their_keys_while_the_file_changes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(key_ring, "CHECK_SECONDS", 0.0)
    ring = KeyRing(path)
    ring.load()
    found: list[Key | None] = []

    def ask() -> None:
        for _ in range(200):
            found.append(ring.find(ALICES))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number in range(50):
        write_keys(path, [ALICE, BOB][: 1 + number % 2])
    for thread in threads:
        thread.join(30)
    assert found == [ALICE] * 800
