"""Metrics of several processes, without a server."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector

from api.monitoring import slots
from model import ROOT

WORKER = """
import sys
from api.monitoring import slots
slots.take_slot(int(sys.argv[1]))
from prometheus_client import Counter, Gauge
counter = Counter("answers", "-", ["route"])
gauge = Gauge("alive", "-", multiprocess_mode="livesum")
counter.labels("/predict").inc(int(sys.argv[2]))
gauge.set(1)
slots.flush()
counter.labels("/predict").inc(1000)  # not written
print("written", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    slots.create_folder(str(tmp_path))
    yield Path(os.environ[slots.VARIABLE])
    slots.remove_folder()


def start(slot: int, answers: int) -> subprocess.Popen:
    process = subprocess.Popen(
        [sys.executable, "-c", WORKER, str(slot), str(answers)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"written\n"
    return process


def kill(process: subprocess.Popen) -> None:
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def total(name: str) -> float:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return sum(
        sample.value for family in registry.collect() for sample in family.samples if sample.name == name
    )


def test_counters_do_not_fall_when_a_worker_is_killed(folder: Path) -> None:
    first, second = start(0, 5), start(1, 7)
    try:
        assert (total("answers_total"), total("alive")) == (12, 2)
        kill(first)
        slots.release_slot(0)
        assert (total("answers_total"), total("alive")) == (12, 1)
        files = len(list(folder.iterdir()))
        first = start(0, 4)
        assert (total("answers_total"), total("alive")) == (16, 2)
        assert len(list(folder.iterdir())) == files + 1  # the gauge's
    finally:
        kill(first)
        kill(second)
    assert total("answers_total") == 16


@settings(derandomize=True, deadline=None)
@given(st.sets(st.integers(0, 20)))
def test_a_free_slot_is_the_lowest(taken: set[int]) -> None:
    slot = slots.free_slot(taken)
    assert slot not in taken
    assert set(range(slot)) <= taken


def test_folders_of_killed_servers_are_removed_and_others_are_not(folder: Path) -> None:
    parent = folder.parent
    left, other = parent / f"{slots.PREFIX}left", parent / "else"
    for path in (left, other):
        path.mkdir()
        (path / "counter_0.db").write_bytes(b"x")
    in_use = subprocess.run(
        [sys.executable, "-c", f"from api.monitoring import slots; slots.create_folder({str(parent)!r})"],
        cwd=ROOT,
    )
    assert in_use.returncode == 0
    assert folder.is_dir()
    assert other.is_dir()
    assert not left.exists()


def test_the_folder_is_removed(tmp_path: Path) -> None:
    slots.create_folder(str(tmp_path))
    slots.remove_folder()
    assert not list(tmp_path.iterdir())
    assert slots.VARIABLE not in os.environ
    slots.remove_folder()


def test_a_folder_that_cannot_be_made_raises(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        slots.create_folder(str(tmp_path / "nowhere"))
