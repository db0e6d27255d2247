import multiprocessing
import os
import signal
import threading
import time
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.security import counters
from api.security.counters import ENTRY, PLACES, SETS, SharedCounters

FORK = multiprocessing.get_context("fork")


@settings(derandomize=True, deadline=None)
@given(st.lists(st.text(max_size=3) | st.sampled_from(["a", "b"]), max_size=60))
def test_each_key_has_its_count(keys: list[str]) -> None:
    shared, expected = SharedCounters(), Counter[str]()
    for key in keys:
        expected[key] += 1
        count, left = shared.count(key, 60)
        assert count == expected[key]
        assert 0 < left <= 60


def test_a_period_begins_with_the_first_count_and_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [500.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shared = SharedCounters()
    assert [shared.count("a", 60) for _ in range(3)] == [(1, 60), (2, 60), (3, 60)]
    now[0] = 559.5
    assert shared.count("a", 60) == (4, 0.5)
    now[0] = 560.0
    assert shared.count("a", 60) == (1, 60)


def test_all_keys_can_be_forgotten() -> None:
    shared = SharedCounters()
    assert [shared.count(key, 60)[0] for key in "aab"] == [1, 2, 1]
    shared.reset()
    assert [shared.count(key, 60)[0] for key in "ab"] == [1, 1]


def test_memory_is_bounded_and_the_period_that_ends_first_is_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(counters, "SETS", 1)
    now = [500.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    shared = SharedCounters()
    for number in range(1000):
        now[0] += 0.001
        shared.count(f"address {number}", 60)
    assert len(shared._table) == PLACES * ENTRY.size
    for number in range(1000 - PLACES, 1000):
        assert shared.count(f"address {number}", 60)[0] == 2
    assert shared.count("address 0", 60)[0] == 1


def test_there_is_room_for_many_addresses() -> None:
    """Half as many as there are entries: few are forgotten, and none has the count of another."""
    shared = SharedCounters()
    number = SETS * PLACES // 2
    assert all(shared.count(f"address {i}", 600)[0] == 1 for i in range(number))
    counts = Counter(shared.count(f"address {i}", 600)[0] for i in range(number))
    assert counts.keys() == {1, 2}
    assert counts[1] < 0.1 * number


def test_processes_and_threads_count_together() -> None:
    shared = SharedCounters()

    def count() -> None:
        threads = [
            threading.Thread(target=lambda: [shared.count("a", 600) for _ in range(500)]) for _ in "12"
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)

    processes = [FORK.Process(target=count) for _ in range(3)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
        assert process.exitcode == 0
    assert shared.count("a", 600)[0] == 3 * 2 * 500 + 1


def test_a_killed_process_does_not_stop_the_others() -> None:
    shared = SharedCounters()

    def die() -> None:
        with shared._locked():
            os.kill(os.getpid(), signal.SIGKILL)

    process = FORK.Process(target=die)
    process.start()
    process.join(30)
    assert process.exitcode == -signal.SIGKILL
    started_at = time.monotonic()
    assert [shared.count("a", 600)[0] for _ in range(20)] == list(range(1, 21))
    waited = time.monotonic() - started_at
    assert 0.5 * counters.LOCK_SECONDS < waited < 10 * counters.LOCK_SECONDS  # once, not twenty times
    with shared._locked():
        shared._lock.release()  # by a process that took it over
