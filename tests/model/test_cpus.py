import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import ROOT
from model.cpus import available_cpus, engine_threads, runs_on_cpu
from model.hardware import pick_device


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


@pytest.mark.parametrize(
    ("quota", "cpus"),
    [
        ("200000 100000", 2),
        ("150000 100000", 2),
        ("50000 100000", 1),
        ("max 100000", 16),
        ("9900000 100000", 16),
    ],
)
def test_cgroup_v2(quota: str, cpus: int, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text(quota + "\n")
    assert available_cpus(tmp_path) == cpus


@pytest.mark.parametrize(("quota", "cpus"), [("300000", 3), ("-1", 16)])
def test_cgroup_v1(quota: str, cpus: int, tmp_path: Path) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota + "\n")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000\n")
    assert available_cpus(tmp_path) == cpus


def test_no_control_group(tmp_path: Path) -> None:
    assert available_cpus(tmp_path) == 16


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("0", 5), ("many", 5), (None, 5)])
def test_threads_of_an_engine(said: str | None, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.cpus.available_cpus", lambda: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", said or "")
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    assert engine_threads() == threads


def test_where_an_engine_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_on_cpu("cpu")
    assert not runs_on_cpu("cuda")
    monkeypatch.setattr("os.path.exists", lambda path: False)
    monkeypatch.setattr(sys, "platform", "linux")
    assert runs_on_cpu("auto")


def test_a_gpu_is_looked_for_without_torch_in_this_process() -> None:
    program = (
        "import os, sys; from model.cpus import runs_on_cpu\n"
        "os.path.exists = lambda path: True\n"
        "print(runs_on_cpu('auto'), 'torch' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == [str(pick_device().type == "cpu"), "False"]
