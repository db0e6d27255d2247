"""The notebooks are run as a user would, on a tree of forty pictures."""

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from tests.benchmarks.servers import free_port
from tests.trees import hackathon_tree

NOTEBOOKS = Path(__file__).parents[2] / "training" / "notebooks"


def execute(name: str) -> str:
    """Everything that the notebook's cells print. Raises for a cell that fails."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOKS)}}).execute()
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


# The kernel's own packages warn of their future; they are no part of the service.
@pytest.mark.filterwarnings("default::DeprecationWarning")
@pytest.mark.filterwarnings("default::ResourceWarning")
@pytest.mark.filterwarnings("default::pytest.PytestUnraisableExceptionWarning")
def test_from_training_to_the_service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CIFAKE_NOTEBOOK_DATA", str(hackathon_tree(tmp_path / "data")))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_RUN", str(tmp_path / "run"))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_OUT", str(tmp_path / "out"))
    monkeypatch.setenv("CIFAKE_NOTEBOOK_PORT", str(free_port()))
    assert "on validation, Calibration(temperature=" in execute("training.ipynb")
    assert (tmp_path / "run" / "reliability.png").is_file()
    printed = execute("evaluation.ipynb")
    assert "predictions for all 5 test pictures" in printed
    assert "'label':" in printed
    assert (tmp_path / "out" / "demo_submission.zip").is_file()


@pytest.mark.parametrize("name", ["training.ipynb", "evaluation.ipynb"])
def test_they_are_kept_without_outputs(name: str) -> None:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    nbformat.validate(notebook)
    assert all(not cell.get("outputs") for cell in notebook.cells)
