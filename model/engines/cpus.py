"""CPUs and memory available to this process. Imports no torch, for use before a server forks."""

import math
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from model import ROOT

CGROUP_MOUNT = Path("/sys/fs/cgroup")
PROC_CGROUP = Path("/proc/self/cgroup")


def available_cpus(mount: Path = CGROUP_MOUNT, proc_cgroup: Path = PROC_CGROUP) -> int:
    """CPUs available to this process, at least 1.

    The minimum of its affinity mask and of the quotas, rounded up, of its control group and all parent groups
    (cgroups(7)). mount: where control groups are mounted. proc_cgroup: the file with this process's groups.
    """
    cpus = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    quotas = [quota for group in _groups("cpu", mount, proc_cgroup) if (quota := _quota(group))]
    return max(1, min(cpus, math.ceil(min(quotas, default=cpus))))


def memory_limit(mount: Path = CGROUP_MOUNT, proc_cgroup: Path = PROC_CGROUP) -> float:
    """Bytes of memory that this process's control groups allow; infinity if they set no limit.

    Arguments as for `available_cpus`. The limit is shared by all processes of the group.
    """
    return min(map(_memory, _groups("memory", mount, proc_cgroup)), default=math.inf)


def _groups(controller: str, mount: Path, proc_cgroup: Path) -> Iterator[Path]:
    """The folders of this process's control groups of a controller and of their parents; they need not exist.

    A line of `proc_cgroup` is `number:controllers:path`, without controllers for cgroup v2. A container may
    see the host's path although its own group is mounted as the root.
    """
    try:
        lines = proc_cgroup.read_text(errors="replace").splitlines()
    except OSError:  # not Linux
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:
            roots = {mount, mount / "unified"}  # the latter in hybrid mode
        elif controller in controllers.split(","):
            roots = {mount / controller, mount / controllers}
        else:
            continue
        # A path with `..` is outside this process's cgroup namespace: only the mount can be read.
        relative = Path("." if "/.." in path else path.lstrip("/"))
        for root in roots:
            yield from (root / folder for folder in (relative, *relative.parents))


def _quota(group: Path) -> float | None:
    """The CPU quota of a group (v2 `cpu.max`, v1 `cpu.cfs_quota_us`); None if it has none."""
    try:
        if (group / "cpu.max").is_file():
            quota, period = (group / "cpu.max").read_text().split()
        else:
            quota = (group / "cpu.cfs_quota_us").read_text()
            period = (group / "cpu.cfs_period_us").read_text()
        return int(quota) / int(period) if int(quota) > 0 else None
    except (OSError, ValueError):  # no such group, or a quota of "max"
        return None


def _memory(group: Path) -> float:
    """The memory limit of a group in bytes (v2 `memory.max`, v1 `memory.limit_in_bytes`)."""
    for name in ("memory.max", "memory.limit_in_bytes"):
        try:
            return int((group / name).read_text())
        except (OSError, ValueError):  # no such group, or a limit of "max"
            continue
    return math.inf


def engine_threads() -> int:
    """Threads of an engine in this process: `OMP_NUM_THREADS`, or the number of available CPUs."""
    value = os.environ.get("OMP_NUM_THREADS", "")
    return int(value) if value.isdigit() and int(value) else available_cpus()


def runs_on_cpu(device: str) -> bool:
    """Whether this device is, or `auto` selects, the CPU. Avoids torch if there can be no other device."""
    if device != "auto":
        return device == "cpu"
    if sys.platform == "linux" and not any(map(os.path.exists, ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd"))):
        return True
    if find_spec("torch") is None:  # other devices need PyTorch
        return True
    # In a subprocess: a CUDA context that gunicorn creates before it forks cannot be used by its workers. If
    # this fails, the result is not `cpu`, so that the engine reports the error.
    program = "from model.engines.hardware import pick_device; print(pick_device().type)"
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() == "cpu"
