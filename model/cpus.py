"""How many processors this process may use. Imports no torch, so that a server can ask before it forks."""

import math
import os
import subprocess
import sys
from pathlib import Path

from model import ROOT

CGROUP = Path("/sys/fs/cgroup")


def available_cpus(cgroup: Path = CGROUP) -> int:
    """Processors this process may use, at least 1.

    The smaller of its affinity mask and its control group's quota (cgroup v2 `cpu.max`, v1
    `cpu.cfs_quota_us`), rounded up: a container limited to half of 64 processors has 32.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quota = _quota(cgroup)
    return max(1, min(cpus, math.ceil(quota))) if quota else cpus


def _quota(cgroup: Path) -> float | None:
    """Processors the control group allows, or None where it sets no limit."""
    v1 = cgroup / "cpu"
    try:
        if (cgroup / "cpu.max").is_file():
            quota, period = (cgroup / "cpu.max").read_text().split()
        else:
            quota = (v1 / "cpu.cfs_quota_us").read_text()
            period = (v1 / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no control group, or the word "max"
        return None


def engine_threads() -> int:
    """Threads that an engine in this process may use: what `OMP_NUM_THREADS` says, or every processor."""
    said = os.environ.get("OMP_NUM_THREADS", "")
    return int(said) if said.isdigit() and int(said) else available_cpus()


def runs_on_cpu(device: str) -> bool:
    """Whether that device is the CPU, told without torch where there is surely no other."""
    if device != "auto":
        return device == "cpu"
    if sys.platform == "linux" and not any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))):
        return True
    # In a process of its own: a GPU that gunicorn opens before it forks is of no use to its workers. One that
    # cannot be opened is no CPU either, and the engine will say what is wrong with it.
    program = "from model.hardware import pick_device; print(pick_device().type)"
    asked = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() == "cpu"
