"""From the hackathon's archive to its submission, as a team would do it: `python -m tests.walk [ARCHIVE]`.

It copies the archive to a temporary folder, runs each command of `python -m training` there, and checks what
they say and write. It prints a line for each step, and ends with status 1 and a sentence at the first thing
that does not hold. On two cores it takes some minutes, most of them in `train`.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from model import ROOT
from tests.walk.place import DATA, Output, Place, WalkError
from tests.walk.steps import STEPS

COMMAND_SECONDS = 1800


def main(arguments: list[str] | None = None) -> int:
    """Walk through all steps. Returns 0, or 1 where something does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.walk", description=__doc__)
    parser.add_argument(
        "archive",
        type=Path,
        nargs="?",
        default=Path(os.environ.get("CIFAKE_DATA", "data")) / "hackathon",
        help="a hackathon tree, or a .tar.xz or .zip of one; default: %(default)s",
    )
    archive = parser.parse_args(arguments).archive
    started, cpu = time.monotonic(), cpu_seconds()
    with tempfile.TemporaryDirectory() as folder:
        try:
            unpack(archive, Path(folder) / DATA)
            walk(Place(Path(folder), run))
        except (WalkError, OSError) as error:
            print(f"error: {error}", file=sys.stderr)
            return 1
    seconds = time.monotonic() - started
    print(
        f"all {len(STEPS)} steps hold, after {seconds:.0f} s ({cpu_seconds() - cpu:.0f} s of processor time)"
    )
    return 0


def unpack(archive: Path, folder: Path) -> None:
    """Copy a hackathon tree, or unpack an archive of one, to `folder`."""
    if not archive.exists():
        raise WalkError(f"there is no {archive}: give the hackathon's archive, a folder, .tar.xz or .zip")
    if archive.is_dir():
        shutil.copytree(archive, folder)
        return
    beside = folder.with_name("unpacked")
    options = {} if archive.suffix == ".zip" else {"filter": "data"}
    shutil.unpack_archive(archive, beside, **options)
    found = sorted(beside.rglob("real_cifake_images"))
    if len(found) != 1:
        raise WalkError(f"{archive} has {len(found)} folders real_cifake_images/, and not one")
    found[0].parent.rename(folder)


def walk(place: Place) -> None:
    """Take all steps, and print a line for each. Raises WalkError."""
    for step in STEPS:
        started, cpu = time.monotonic(), cpu_seconds()
        told = step(place)
        seconds = f"{time.monotonic() - started:5.0f} s ({cpu_seconds() - cpu:4.0f} s of processor time)"
        print(f"{step.__name__:20} {seconds}  {told}", flush=True)


def run(arguments: list[str], folder: Path) -> Output:
    """Run `python -m training` in a process of its own, as a user does."""
    done = subprocess.run(
        [sys.executable, "-m", "training", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
    )
    return Output(done.returncode, done.stdout, done.stderr)


def cpu_seconds() -> float:
    """The processor time of this process and of those that it has waited for."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


if __name__ == "__main__":
    sys.exit(main())
