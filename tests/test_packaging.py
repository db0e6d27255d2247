"""What is installed where: the pins are complete, and the image's recipe names what is there."""

import ast
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from importlib.metadata import requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from model import ROOT

PACKAGES = {"PIL": "pillow", "pythonjsonlogger": "python-json-logger"}
"""What is imported under another name than that of its package."""


def named(line: str) -> str:
    return re.split(r"[=<>\[ ]", line)[0].lower().replace("_", "-")


def listed(path: Path) -> list[str]:
    """The lines of a requirements file and of those that it includes, without comments."""
    lines: list[str] = []
    for line in filter(None, (line.partition("#")[0].strip() for line in path.read_text().splitlines())):
        included = re.fullmatch(r"-r (\S+)", line)
        lines += listed(path.with_name(included[1])) if included else [line]
    return lines


def grouped() -> list[str]:
    groups = tomllib.loads((ROOT / "pyproject.toml").read_text())["dependency-groups"]
    return [line for group in groups.values() for line in group if isinstance(line, str)]


SERVED = {named(line) for line in listed(ROOT / "requirements-serve.txt")}


def test_every_package_is_pinned_and_named_once() -> None:
    lines = listed(ROOT / "requirements.txt") + grouped()
    assert [line for line in lines if not re.fullmatch(r"[\w.-]+(\[[\w,-]+\])?==[\w.]+", line)] == []
    names = [named(line) for line in lines]
    assert sorted(names) == sorted(set(names))


def test_what_a_server_is_made_of_is_pinned_with_all_that_it_brings() -> None:
    brought = {
        need.name.lower().replace("_", "-")
        for name in SERVED
        for need in map(Requirement, requires(name) or [])
        if need.marker is None or need.marker.evaluate({"extra": ""})
    }
    assert brought - SERVED == set()


def test_one_file_has_all_that_serving_training_and_testing_need() -> None:
    names = {named(line) for line in listed(ROOT / "requirements.txt")}
    assert names > SERVED
    assert names > {"flask", "gunicorn", "torch", "torchvision", "pillow", "numpy", "pytest"}
    assert not {"torch", "torchvision", "nncf", "scipy", "scikit-learn"} & SERVED


def at_import(body: list[ast.stmt]) -> Iterator[str]:
    """The names of the modules that a module imports when it is imported itself."""
    for node in body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from at_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            for block in ("body", "orelse", "finalbody", "handlers"):
                yield from at_import(getattr(node, block, []))


def test_a_server_on_a_cpu_has_all_that_it_imports() -> None:
    paths = [
        *(path for path in (ROOT / "api").rglob("*.py") if path.parent.name != "client"),
        ROOT / "model/predictor.py",
        *(ROOT / "model/engines").glob("openvino_*.py"),  # imported once it is known that they are needed
    ]
    assert len(paths) > 10
    for path in paths:  # which grows
        for name in at_import(ast.parse(path.read_text()).body):
            top = name.split(".")[0]
            if top in ("api", "model"):
                paths += {*modules(name)} - {*paths}
            elif top not in sys.stdlib_module_names:
                assert PACKAGES.get(top, top.replace("_", "-")) in SERVED, path


def modules(name: str) -> Iterator[Path]:
    """The files of ours that are imported for a name: of its packages and its module, or of it itself."""
    parts = name.split(".")
    for end in range(1, len(parts) + 1):
        path = ROOT.joinpath(*parts[:end])
        yield from filter(Path.is_file, (path.with_suffix(".py"), path / "__init__.py"))


DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def test_what_the_image_copies_is_there_and_let_in() -> None:
    let_in = re.findall(r"^!(\S+)$", (ROOT / ".dockerignore").read_text(), re.M)
    copied = {source for line in re.findall(r"^COPY (.*) \S+$", DOCKERFILE, re.M) for source in line.split()}
    assert copied == set(let_in)
    assert all((ROOT / source).exists() for source in copied)


def test_the_image_that_compose_builds_is_the_one_for_a_cpu() -> None:
    assert re.findall(r"^FROM \S+ AS (\S+)$", DOCKERFILE, re.M)[-1] == "cpu"
    assert "build: .\n" in (ROOT / "compose.yaml").read_text()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_health_check_asks_readyz_where_the_service_listens(status: int, code: int) -> None:
    class Service(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == "/readyz" else 404)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing."""

    command = json.loads(re.findall(r"^HEALTHCHECK .* CMD (\[.*\])$", DOCKERFILE, re.M)[0])
    with HTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        command[0], bind = sys.executable, f"0.0.0.0:{server.server_port}"
        asked = subprocess.run(command, env={"CIFAKE_BIND": bind}, capture_output=True, timeout=30)
        server.shutdown()
    assert asked.returncode == code, asked.stderr
