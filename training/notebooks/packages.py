"""The packages that a notebook's machine lacks. Imports nothing but the standard library: it runs first."""

import importlib
import re
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

NOT_NEEDED = {"hypothesis", "nncf", "onnx", "onnxruntime", "pytest", "pytest-xdist"}
"""Packages of `requirements.txt` that no notebook imports: those of the tests, `quantise` and `export`.

onnx needs a newer protobuf than Colab's TensorFlow allows.
"""

PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
PIP_SECONDS = 1200


class PackagesError(Exception):
    """The packages could not be installed; the message says which."""


def install_missing(requirements: Path) -> None:
    """Install those packages of a requirements file that are missing, and replace none that is there.

    A machine such as Colab's has its own PyTorch and NumPy, which fit its drivers and one another: another
    version of what is installed is kept. Raises PackagesError.
    """
    lacking = missing(requirements)
    if not lacking:
        print("all packages are there")
        return
    print("installing", ", ".join(lacking))
    with tempfile.NamedTemporaryFile("w", prefix="installed-", suffix=".txt") as installed:
        subprocess.run([*PIP, "list", "--format=freeze"], stdout=installed, check=True, timeout=PIP_SECONDS)
        install(lacking, "--constraint", installed.name)
    importlib.invalidate_caches()


def install_apart(package: str, requirements: Path, folder: Path) -> Path:
    """Install the pinned version of a package for those that have `folder` in PYTHONPATH. Returns `folder`.

    It stays empty where that version is there for all. What the package needs is not installed. Raises
    PackagesError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (pinned,) = [line for line in read(requirements) if name(line) == package]
    if version(package) != pinned.partition("==")[2]:
        install([pinned], "--no-deps", "--upgrade", "--target", str(folder))
    return folder.resolve()


def install(requirements: list[str], *options: str) -> None:
    """Run pip. Raises PackagesError."""
    command = [*PIP, "install", "--quiet", *options, *requirements]
    if subprocess.run(command, timeout=PIP_SECONDS).returncode:
        raise PackagesError(f"pip could not install {', '.join(requirements)}: its reason is above")


def missing(requirements: Path) -> list[str]:
    """The lines of a requirements file, without NOT_NEEDED, whose package is not installed in any version."""
    return [line for line in read(requirements) if name(line) not in NOT_NEEDED and not is_installed(line)]


def read(requirements: Path) -> list[str]:
    """The requirements of a file and of those that it includes, without comments."""
    lines: list[str] = []
    for line in (line.partition("#")[0].strip() for line in requirements.read_text().splitlines()):
        if line.startswith("-r "):
            lines += read(requirements.with_name(line.removeprefix("-r ")))
        elif line:
            lines.append(line)
    return lines


def name(requirement: str) -> str:
    """The name of a requirement's package, in lower case."""
    return re.split(r"[^\w.-]", requirement, maxsplit=1)[0].lower()


def is_installed(requirement: str) -> bool:
    """Whether a requirement's package is installed, in whatever version."""
    try:
        version(name(requirement))
    except PackageNotFoundError:
        return False
    return True
