"""What is installed on a machine that lacks some packages: those, and nothing in place of what is there."""

import os
import subprocess
import venv
from pathlib import Path
from zipfile import ZipFile

import pip
import pytest

from model import ROOT
from training.notebooks import packages
from training.notebooks.packages import install_apart, install_missing, missing

REQUIREMENTS = ROOT / "requirements.txt"
INSTALL = """
import sys
from pathlib import Path
from training.notebooks.packages import install_missing
install_missing(Path(sys.argv[1]))
"""
APART = """
import sys
from pathlib import Path
from training.notebooks.packages import install_apart
sys.path.insert(0, str(install_apart("torch", Path(sys.argv[1]), Path(sys.argv[2]))))
from importlib.metadata import version
print(version("torch"))
"""


def test_nothing_is_installed_where_all_is_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    install_missing(REQUIREMENTS)
    assert capsys.readouterr().out == "all packages are there\n"


def test_nothing_is_installed_apart_where_the_pinned_version_is_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subprocess, "run", None)
    assert install_apart("pillow", REQUIREMENTS, tmp_path / "apart") == tmp_path / "apart"
    assert [*(tmp_path / "apart").iterdir()] == []


@pytest.mark.parametrize(
    ("line", "lacking"),
    [
        ("pillow==0.1", False),
        ("Pillow", False),
        ("pydantic_settings>=1  # as Python spells it", False),
        ("no-such-package[extra]==1", True),
    ],
)
def test_what_is_there_in_any_version_is_not_missing(tmp_path: Path, line: str, lacking: bool) -> None:
    (tmp_path / "some.txt").write_text(f"# Ours\n\n{line}\nonnx==9  # not for notebooks\n")
    (tmp_path / "all.txt").write_text("-r some.txt\nnumpy==0.1\n")
    assert missing(tmp_path / "all.txt") == [line] * lacking


def test_what_notebooks_need_not_is_named_as_in_the_requirements() -> None:
    names = {packages.name(line) for line in packages.read(REQUIREMENTS)}
    assert names > packages.NOT_NEEDED
    assert {"torch", "torchvision", "numpy", "pillow", "flask"} <= names - packages.NOT_NEEDED


def wheel(folder: Path, name: str, version: str, *needs: str) -> None:
    """A package that has nothing but its metadata."""
    info = f"{name}-{version}.dist-info"
    lines = ["Metadata-Version: 2.1", f"Name: {name}", f"Version: {version}"]
    with ZipFile(folder / f"{name}-{version}-py3-none-any.whl", "w") as archive:
        archive.writestr(f"{info}/METADATA", "\n".join([*lines, *(f"Requires-Dist: {n}" for n in needs), ""]))
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")


def test_what_is_there_stays_whatever_is_installed(tmp_path: Path) -> None:
    """With pip, in an environment of its own, from a folder of wheels in place of the index."""
    wheel(tmp_path, "torch", "2.6.0+colab")
    wheel(tmp_path, "torch", "9.0")
    wheel(tmp_path, "modest", "1.0", "torch>=2.6", "brought")
    wheel(tmp_path, "brought", "1.0")
    wheel(tmp_path, "greedy", "1.0", "torch>=9")
    venv.create(tmp_path / "venv", symlinks=True)
    (site,) = (tmp_path / "venv" / "lib").glob("*/site-packages")
    (site / "pip").symlink_to(Path(pip.__file__).parent)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))
    }
    environment |= {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    environment["PYTHONPATH"] = str(ROOT)

    def python(*arguments: str) -> subprocess.CompletedProcess:
        command = [str(tmp_path / "venv" / "bin" / "python"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)

    def install(requirement: str) -> subprocess.CompletedProcess:
        file = tmp_path / "requirements.txt"
        file.write_text(f"torch==9.0\n{requirement}\n")
        return python("-c", INSTALL, str(file))

    assert python("-m", "pip", "install", "torch==2.6.0+colab").returncode == 0
    first, second = install("modest==1.0"), install("greedy==1.0")
    assert (first.returncode, first.stdout) == (0, "installing modest==1.0\n"), first.stderr
    assert second.stderr.endswith("PackagesError: pip could not install greedy==1.0: its reason is above\n")
    apart = python("-c", APART, str(tmp_path / "requirements.txt"), str(tmp_path / "apart"))
    assert (apart.returncode, apart.stdout) == (0, "9.0\n"), apart.stderr
    installed = python("-m", "pip", "list", "--format=freeze").stdout.split()
    assert installed == ["brought==1.0", "modest==1.0", "torch==2.6.0+colab"]
