"""How many processors this process may use. Imports no torch, so that a server can ask before it forks."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from model import ROOT

CGROUP = Path("/sys/fs/cgroup")
OWN = Path("/proc/self/cgroup")


def available_cpus(cgroup: Path = CGROUP, own: Path = OWN) -> int:
    """Processors this process may use, at least 1.

    The smallest of its affinity mask and the quotas of its control group and of all groups above it, rounded
    up: a container limited to half of 64 processors has 32. cgroup: where control groups are mounted. own:
    the file that names this process's group (cgroups(7)).
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups(cgroup, own) if (quota := _quota(group))]
    return max(1, min(cpus, math.ceil(min(quotas, default=cpus))))


def _groups(cgroup: Path, own: Path) -> Iterator[Path]:
    """The folders of this process's control groups that may limit its processors, each up to its mount.

    A line of `own` is `number:controllers:path`, without controllers for cgroup v2. A container may see the
    host's path while its own group is mounted as the root: then the folders below the root are not there.
    """
    try:
        lines = own.read_text(errors="replace").splitlines()
    except OSError:  # no Linux
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            tops = {cgroup, cgroup / "unified"}  # the latter where v1 and v2 are mounted side by side
        elif "cpu" in controllers.split(","):
            tops = {cgroup / "cpu", cgroup / controllers}
        else:
            continue
        # A path that climbs is that of a group outside this process's namespace: only the mount can be read.
        below = Path("." if "/.." in path else path.lstrip("/"))
        for top in tops:
            yield from (top / part for part in (below, *below.parents))


def _quota(group: Path) -> float | None:
    """Processors that a group allows (v2 `cpu.max`, v1 `cpu.cfs_quota_us`); None where it sets no limit."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such group, or the word "max"
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
    if find_spec("torch") is None:  # only PyTorch runs the network elsewhere
        return True
    # In a process of its own: a GPU that gunicorn opens before it forks is of no use to its workers. One that
    # cannot be opened is no CPU either, and the engine will say what is wrong with it.
    program = "from model.engines.hardware import pick_device; print(pick_device().type)"
    asked = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return asked.stdout.strip() == "cpu"
