import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from model import ROOT
from model.engines.cpus import available_cpus, engine_threads, memory_limit, runs_on_cpu
from model.engines.hardware import pick_device


@pytest.fixture(autouse=True)
def _sixteen_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(16)), raising=False)


def group(folder: Path, quota: str) -> None:
    """A control group with a quota: v2 has `quota period` in one file, v1 a number in each of two."""
    folder.mkdir(parents=True, exist_ok=True)
    if " " in quota:
        (folder / "cpu.max").write_text(quota + "\n")
    else:
        (folder / "cpu.cfs_quota_us").write_text(quota + "\n")
        (folder / "cpu.cfs_period_us").write_text("100000\n")


def cpus_of(tmp_path: Path, membership: str, quotas: dict[str, str]) -> int:
    mount, own = tmp_path / "cgroup", tmp_path / "own"
    own.write_text(membership)
    for folder, quota in quotas.items():
        group(mount / folder, quota)
    return available_cpus(mount, own)


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
def test_quota_of_a_container(quota: str, cpus: int, tmp_path: Path) -> None:
    assert cpus_of(tmp_path, "0::/\n", {".": quota}) == cpus


@pytest.mark.parametrize(
    ("quotas", "cpus"),
    [
        ({"system.slice/cifake.service": "300000 100000"}, 3),
        ({"system.slice/cifake.service": "max 100000", "system.slice": "200000 100000"}, 2),
        ({"system.slice/cifake.service": "200000 100000", "system.slice": "500000 100000"}, 2),
        ({"system.slice/cifake.service": "500000 100000", "system.slice": "200000 100000"}, 2),
        ({"system.slice/other.service": "200000 100000", "other": "100000 100000"}, 16),
    ],
)
def test_the_smallest_quota_from_the_own_group_up(quotas: dict[str, str], cpus: int, tmp_path: Path) -> None:
    assert cpus_of(tmp_path, "0::/system.slice/cifake.service\n", quotas) == cpus


@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
@pytest.mark.parametrize(
    ("quotas", "cpus"),
    [
        ({"docker/a": "300000"}, 3),
        ({"docker/a": "-1", "docker": "200000"}, 2),
        ({".": "400000"}, 4),  # in the container, whose group is mounted as the root
        ({"docker/a": "-1"}, 16),
    ],
)
def test_cgroup_v1(mount: str, quotas: dict[str, str], cpus: int, tmp_path: Path) -> None:
    membership = "5:memory:/elsewhere\n4:cpu,cpuacct:/docker/a\n3:cpuset:/\n1:name=systemd:/docker/a\n"
    under = {f"{mount}/{folder}": quota for folder, quota in quotas.items()}
    assert cpus_of(tmp_path, membership, under) == cpus


def test_v1_and_v2_side_by_side(tmp_path: Path) -> None:
    membership = "2:cpu,cpuacct:/a.slice\n1:name=systemd:/a.slice/b\n0::/a.slice/b\n"
    assert cpus_of(tmp_path, membership, {"cpu,cpuacct/a.slice": "300000", "unified/a.slice/b": "-1"}) == 3
    group(tmp_path / "cgroup" / "unified" / "a.slice", "200000 100000")
    assert available_cpus(tmp_path / "cgroup", tmp_path / "own") == 2


def test_a_group_outside_the_namespace(tmp_path: Path) -> None:
    group(tmp_path, "100000 100000")  # beside the mount, which a path that climbs must not reach
    assert cpus_of(tmp_path, "0::/../..\n", {".": "300000 100000"}) == 3


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/a/b\n", {"a/b/memory.max": "max", "a/memory.max": "536870912"}, 512 << 20),
        ("0::/a\n", {"a/memory.max": "1000", "memory.max": "2000"}, 1000),
        ("0::/../x\n", {"memory.max": "3000", "x/memory.max": "10"}, 3000),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "700"}, 700),
        ("4:cpu,memory:/\n", {"cpu,memory/memory.limit_in_bytes": "800"}, 800),
        ("4:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 9223372036854771712),
        ("3:cpu:/\n", {"cpu/memory.limit_in_bytes": "900"}, math.inf),
        ("0::/\n", {}, math.inf),
    ],
)
def test_memory_limit(membership: str, files: dict[str, str], limit: float, tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text(membership)
    for name, content in files.items():
        (tmp_path / "mount" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mount" / name).write_text(content + "\n")
    assert memory_limit(tmp_path / "mount", own) == limit


def test_no_control_group(tmp_path: Path) -> None:
    assert available_cpus(tmp_path, tmp_path / "own") == 16


@pytest.mark.parametrize(("said", "threads"), [("3", 3), ("0", 5), ("many", 5), (None, 5)])
def test_threads_of_an_engine(said: str | None, threads: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("model.engines.cpus.available_cpus", lambda: 5)
    monkeypatch.setenv("OMP_NUM_THREADS", said or "")
    if said is None:
        monkeypatch.delenv("OMP_NUM_THREADS")
    assert engine_threads() == threads


def test_where_an_engine_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    assert runs_on_cpu("cpu")
    assert not runs_on_cpu("cuda")
    monkeypatch.setattr(sys, "platform", "linux")
    with monkeypatch.context() as patched:
        patched.setattr("os.path.exists", lambda path: False)
        assert runs_on_cpu("auto")
    monkeypatch.setattr("os.path.exists", lambda path: True)
    monkeypatch.setattr("model.engines.cpus.find_spec", lambda name: None)  # no PyTorch, no other device
    assert runs_on_cpu("auto")


def test_a_gpu_is_looked_for_without_torch_in_this_process() -> None:
    program = (
        "import os, sys; from model.engines.cpus import runs_on_cpu\n"
        "os.path.exists = lambda path: True\n"
        "print(runs_on_cpu('auto'), 'torch' in sys.modules)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert ended.stdout.split() == [str(pick_device().type == "cpu"), "False"]
