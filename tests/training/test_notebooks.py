"""The notebooks as Colab opens them: alone in an empty folder, from where they clone this repository."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from model import ROOT
from tests.trees import hackathon_tree

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")

FOLDER = ROOT / "training" / "notebooks"
NAMES = ["training.ipynb", "evaluation.ipynb"]
QUICK = """
from dataclasses import replace

import training.fitting.precision
from training.fitting.recipes import RECIPES

training.fitting.precision.has_autocast = lambda device: False
RECIPES["hackathon"] = replace(RECIPES["hackathon"], lr_cycles=((8,),))
"""
LONG_NUMBER = re.compile(r"\d\.\d{10}")


def read(name: str) -> Any:
    return nbformat.read(FOLDER / name, as_version=4)


def code(name: str, having: str) -> str:
    """The source of the one code cell that has this text."""
    (source,) = [c.source for c in read(name).cells if c.cell_type == "code" and having in c.source]
    return source


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository of the files as they are here, whether committed or not."""

    def git(*arguments: str, folder: Path) -> str:
        options = ["-c", "user.name=Tests", "-c", "user.email=tests@localhost", "-c", "commit.gpgsign=false"]
        command = ["git", "-C", str(folder), *options, *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout

    copy = tmp_path_factory.mktemp("repository")
    listed = git("ls-files", "-z", "--cached", "--others", "--exclude-standard", folder=ROOT)
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():  # one that was removed is listed too
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    git("init", "--quiet", folder=copy)
    git("add", "--all", folder=copy)
    git("commit", "--quiet", "--message", "All", folder=copy)
    return copy


def execute(name: str, folder: Path, **parameters: object) -> list[Any]:
    """The outputs of all cells, run in `folder` with other parameters. Raises if a cell fails.

    As papermill does, the parameters are set by a cell after that tagged `parameters`. The cell that clones
    is run twice. As in the other tests, precision `auto` is f32: to measure an emulated bf16 takes long. A
    run is one epoch of small crops.
    """
    notebook = read(name)
    (settings,) = [i for i, c in enumerate(notebook.cells) if "parameters" in c.metadata.get("tags", [])]
    assert all(re.search(rf"^{key} = ", notebook.cells[settings].source, re.M) for key in parameters)
    lines = [f"{key} = {value!r}" for key, value in parameters.items()]
    notebook.cells.insert(settings + 1, nbformat.v4.new_code_cell("\n".join(lines)))
    (cloning,) = [i for i, c in enumerate(notebook.cells) if '"clone"' in c.source]
    more = [notebook.cells[cloning].source, QUICK]
    notebook.cells[cloning + 1 : cloning + 1] = map(nbformat.v4.new_code_cell, more)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(folder)}}).execute()
    return [output for cell in notebook.cells for output in cell.get("outputs", [])]


def text(outputs: list[Any]) -> str:
    return "".join(output.get("text", "") for output in outputs)


def pictures(outputs: list[Any]) -> int:
    return sum("image/png" in output.get("data", {}) for output in outputs)


# Warnings of the kernel's packages, which are no part of this project.
@pytest.mark.filterwarnings("default::DeprecationWarning")
@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(
    ("name", "printed", "shown", "written"),
    [
        ("training.ipynb", ["on validation:"], 6, "runs/hackathon/reliability.png"),
        (
            "evaluation.ipynb",
            ["predictions for all 5 test pictures", '"in_domain":', "REAL"],
            4,
            "outputs/demo_submission.zip",
        ),
    ],
)
def test_each_runs_alone_in_an_empty_folder(
    repository: Path, tmp_path: Path, name: str, printed: list[str], shown: int, written: str
) -> None:
    folder = tmp_path / "empty"
    folder.mkdir()
    data = hackathon_tree(tmp_path / "data", count=8)
    outputs = execute(name, folder, REPOSITORY=str(repository), SOURCE="path", PATH=str(data))
    assert [path.name for path in folder.iterdir()] == ["cifake-detector"]
    assert (folder / "cifake-detector" / written).is_file()
    assert "all packages are there" in text(outputs)
    assert [part for part in printed if part not in text(outputs)] == []
    assert LONG_NUMBER.findall(text(outputs)) == []
    assert pictures(outputs) == shown


def clone(name: str, repository: str, folder: Path) -> subprocess.CompletedProcess:
    """Run the cell that clones, and print where it ends."""
    source = code(name, '"clone"')
    command = [sys.executable, "-c", f"REPOSITORY = {repository!r}\n{source}\nprint(os.getcwd())"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60)


@pytest.mark.parametrize("name", NAMES)
def test_a_notebook_in_the_repository_clones_nothing(name: str) -> None:
    assert clone(name, "no such repository", FOLDER).stdout == f"{ROOT}\n"


@pytest.mark.parametrize("name", NAMES)
def test_a_repository_that_is_not_there_is_told(name: str, tmp_path: Path) -> None:
    told = clone(name, str(tmp_path / "none"), tmp_path).stderr.splitlines()[-1]
    reason = f"git cannot clone {tmp_path}/none: set REPOSITORY above to the repository's address"
    assert told == f"RuntimeError: {reason}"


def test_both_begin_alike() -> None:
    """Settings, the clone, the packages and the pictures; `evaluation` has more settings."""
    training, evaluation = (
        [c.source for c in read(name).cells if c.cell_type == "code"][:4] for name in NAMES
    )
    assert evaluation[0].startswith(training[0])
    assert evaluation[1:] == training[1:]


def test_all_addresses_of_the_repository_are_one() -> None:
    """In the badges of the notebooks and of the README, and where the notebooks clone from."""
    badge = re.compile(
        r"https://colab\.research\.google\.com/github/(.+?)/blob/main/(training/notebooks/\w+\.ipynb)"
    )
    documents = {name: "".join(cell.source for cell in read(name).cells) for name in NAMES}
    links = [link for document in documents.values() for link in badge.findall(document)]
    links += badge.findall((ROOT / "README.md").read_text())
    cloned = [
        re.findall(r'^REPOSITORY = "https://github\.com/(.+?)"', code(n, "SOURCE = "), re.M) for n in NAMES
    ]
    assert {path for _, path in links} == {f"training/notebooks/{name}" for name in NAMES}
    assert {(address,) for address, _ in links} == {tuple(addresses) for addresses in cloned}
    assert len({address for address, _ in links}) == 1


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_have_no_outputs(name: str) -> None:
    notebook = read(name)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") and not cell.get("execution_count") for cell in notebook.cells)
