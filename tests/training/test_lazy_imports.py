"""The command line starts without the libraries that only some commands need."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from model import ROOT

LAZY = ("matplotlib", "pptx", "training.submission.slides")
SLIDES = ROOT / "training" / "submission" / "slides"
MODULES = sorted(path for path in (ROOT / "training").rglob("*.py") if SLIDES not in path.parents)


def imported_at_start(path: Path) -> Iterator[str]:
    """The modules that importing a file imports: not those in functions or for type checkers."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{name.name}" for name in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_plots_and_slides_are_imported_when_they_are_drawn(path: Path) -> None:
    for name in imported_at_start(path):
        assert not any(f"{name}.".startswith(f"{lazy}.") for lazy in LAZY)


def test_the_slides_do_import_them() -> None:
    assert any(name.startswith("pptx.") for path in SLIDES.glob("*.py") for name in imported_at_start(path))
