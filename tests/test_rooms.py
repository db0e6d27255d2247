"""The rooms of the house: what each package may import."""

import ast
from pathlib import Path

import pytest

from model import ROOT

FORBIDDEN = {
    "model": {"api", "training", "flask", "gunicorn", "werkzeug"},
    "training": {"api", "flask", "gunicorn", "werkzeug"},
    "api": {"training"},
}


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return {name.split(".")[0] for name in names}


@pytest.mark.parametrize("room", FORBIDDEN)
def test_imports_stay_in_their_rooms(room: str) -> None:
    modules = sorted((ROOT / room).rglob("*.py"))
    assert len(modules) > 3
    for module in modules:
        assert not imported(module) & FORBIDDEN[room], module


@pytest.mark.parametrize(
    "module", ["api/settings.py", "api/server/memory.py", "model/engines/cpus.py", "model/__init__.py"]
)
def test_what_gunicorn_imports_before_it_forks_is_free_of_torch(module: str) -> None:
    assert not imported(ROOT / module) & {"torch", "torchvision"}
