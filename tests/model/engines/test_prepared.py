import logging
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model import ROOT
from model.architecture import Architecture
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.engines.prepared import default_cache, prepared, read_manifest, write_manifest
from model.images.preprocess import Preprocess
from model.metadata import CheckpointError, CheckpointMetadata, Range
from model.ood import MahalanobisDetector


def test_a_manifest_comes_back_as_it_was(tmp_path: Path) -> None:
    metadata = CheckpointMetadata(
        Architecture("small", "mlp", 0.3),
        Preprocess(64),
        "FAKE",
        Calibration(0.5, 1.5, -0.1),
        int8=(Range("x", 1, -1.0, 2.0),),
        recipe={"cycles": [[1, 2]]},
        digest="abc",
    )
    write_manifest(metadata, tmp_path / "manifest.npz")
    assert read_manifest(tmp_path / "manifest.npz") == metadata
    domain = MahalanobisDetector(np.arange(3.0), np.eye(3), 1.5)
    write_manifest(replace(metadata, ood_detector=domain), tmp_path / "manifest.npz")
    read = read_manifest(tmp_path / "manifest.npz").ood_detector
    assert read is not None
    np.testing.assert_array_equal(read.mean, domain.mean)
    np.testing.assert_array_equal(read.whitening, domain.whitening)
    assert read.threshold == 1.5


@pytest.mark.parametrize("content", [None, b"no checkpoint"])
def test_what_is_wrong_with_a_file_is_told_and_nothing_left(content: bytes | None, tmp_path: Path) -> None:
    model, cache = tmp_path / "model.pth", tmp_path / "cache"
    if content:
        model.write_bytes(content)
    with pytest.raises(CheckpointError, match="there is no file" if content is None else "not a file that"):
        prepared(model, cache)
    assert not [path for path in cache.glob("*") if path.is_dir()]


def test_a_cache_that_cannot_be_written_is_told_of(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("where a folder should be")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr("model.engines.prepared._make", lambda model, folder: folder.mkdir())
    monkeypatch.setattr("model.engines.prepared.read_manifest", lambda path: None)
    (tmp_path / "model.pth").write_bytes(b"x")
    with caplog.at_level(logging.WARNING):
        _, folder = prepared(tmp_path / "model.pth", tmp_path / "file")
    assert folder.parent.parent == tmp_path
    assert "cannot be written to" in caplog.text


def test_the_default_is_the_users_own_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert default_cache() == Path("/somewhere/cifake")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", "/home/anyone")
    assert default_cache() == Path("/home/anyone/.cache/cifake")


def test_openvino_tells_nobody_of_its_use() -> None:
    """It would fork a process for it, which in a server keeps the listening socket."""
    program = (
        "import os; from model import SHIPPED\n"
        "def fork(): raise SystemExit('forked')\n"
        "os.fork = fork\n"
        "import openvino, openvino.tools.ovc\n"
        "from openvino.tools.ovc.telemetry_utils import tm\n"
        "print(tm.__name__)\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "openvino.tools.ovc.telemetry_stub"


def test_a_server_needs_no_torch(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.save(tmp_path / "model.pth")
    program = (
        "import sys; from api.app import create_app; from api.settings import load_settings\n"
        "app = create_app(load_settings(model=sys.argv[1], cache_dir=sys.argv[2]))\n"
        "assert app.test_client().get('/readyz').status_code == 200\n"
        "print('torch' in sys.modules)\n"
    )
    (tmp_path / "serve.py").write_text(program)
    ended = subprocess.run(
        [sys.executable, str(tmp_path / "serve.py"), str(tmp_path / "model.pth"), str(tmp_path)],
        env={"PYTHONPATH": str(ROOT), "CIFAKE_DEVICE": "cpu"},
        capture_output=True,
        text=True,
    )
    assert ended.stdout.strip() == "False", ended.stderr
