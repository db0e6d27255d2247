"""The notebooks, executed on a hackathon tree of forty pictures."""

from pathlib import Path

import pytest

from tests.benchmarks.servers import free_port
from tests.trees import hackathon_tree

nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")

NOTEBOOKS = Path(__file__).parents[2] / "training" / "notebooks"


def execute(name: str) -> str:
    """The text output of all cells. Raises if a cell fails."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbclient.NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


# Warnings of the kernel's packages, which are no part of this project.
@pytest.mark.filterwarnings("default::DeprecationWarning")
@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_from_training_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_NOTEBOOK_DATA", str(hackathon_tree(tmp_path / "data")))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_PORT", str(free_port()))
    assert "on validation:" in execute("training.ipynb")
    assert (tmp_path / "run" / "reliability.png").is_file()
    printed = execute("evaluation.ipynb")
    assert "predictions for all 5 test pictures" in printed
    assert "'label':" in printed
    assert (tmp_path / "out" / "demo_submission.zip").is_file()


@pytest.mark.parametrize("name", ["training.ipynb", "evaluation.ipynb"])
def test_notebooks_have_no_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
