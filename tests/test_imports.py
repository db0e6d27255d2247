"""What import-linter does not see: api/gunicorn.conf.py, whose name is not that of a module."""

import ast
import tomllib

from model import ROOT

CONTRACT = "gunicorn imports no numerical library before it forks"


def imported_modules(path: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


def test_gunicorn_imports_only_modules_of_the_contract_before_it_forks() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [modules] = [one["source_modules"] for one in contracts if one["name"] == CONTRACT]
    imported = imported_modules("api/gunicorn.conf.py")
    assert {name for name in imported if name.split(".")[0] in ("api", "model", "training")} <= set(modules)
    assert not imported & {"numpy", "openvino", "torch", "torchvision"}
