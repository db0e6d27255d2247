"""What goes wrong while a command runs is told in one sentence."""

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

from model import ROOT
from tests.pictures import encode, noise
from tests.trees import cifake_tree
from training import cli

FULL = Path("/dev/full")


@pytest.mark.skipif(not FULL.exists(), reason="there is no /dev/full")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["train", "--recipe", "quick", "--out", "run"],
            "cifake_model.resume could not be written, is the disk",
        ),
        (["infer", "data/test/REAL", "--team", "x"], "No space left on device: 'outputs/x_prediction.json'"),
        (["evaluate", "--json", "report.json"], "No space left on device: 'report.json'"),
        (["explain", "data/test/REAL", "--out", "maps"], "No space left on device: 'maps/0_gradcam.png'"),
    ],
)
def test_a_full_disk(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def open_full(handle: int, mode: str) -> IO[bytes]:
        os.close(handle)
        return FULL.open("wb")

    cifake_tree(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("model.files.os.fdopen", open_full)
    data = ["--data", "data"] if arguments[0] in ("train", "evaluate") else []
    assert cli.main([*arguments, *data, "--device", "cpu"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert error.count("\n") == 1
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize(
    "command", ["evaluate", "explain", "infer", "predict", "audit", "export", "quantise"]
)
def test_a_text_file_is_no_model(
    command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("notes.txt").write_text("These are notes.\n")
    arguments = {
        "evaluate": ["--data", "x"],
        "explain": ["x", "--out", "out"],
        "infer": ["x", "--team", "x"],
        "predict": ["x"],
        "audit": ["x"],
        "export": ["x.onnx"],
        "quantise": ["--data", "x", "--out", "x.pth"],
    }[command]
    assert cli.main([command, *arguments, "--model", "notes.txt"]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: notes.txt ")
    assert error.count("\n") == 1


def test_unreadable_pictures_of_a_test_split_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = cifake_tree(tmp_path / "data")
    (tree / "test" / "REAL" / "0.png").write_bytes(encode(noise(0))[:50])
    assert cli.main(["evaluate", "--data", str(tree), "--device", "cpu"]) == 0
    out, error = capsys.readouterr()
    assert "7 labelled pictures" in out
    assert error.startswith("skipped: REAL/0.png: the picture is cut short or damaged")
    assert error.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--recipe", "quick", "--epochs", "500", "--data", "data", "--out", "run"],
        ["evaluate", "--data", "data", "--robustness", "--ood", "--deletion"],
        ["predict", *["data"] * 200],
    ],
    ids=lambda arguments: arguments[0],
)
def test_ctrl_c_in_the_middle(arguments: list[str], tmp_path: Path) -> None:
    cifake_tree(tmp_path / "data")
    with subprocess.Popen(
        [sys.executable, "-m", "training", *arguments, "--device", "cpu"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, error = process.communicate(timeout=120)
        finally:
            process.kill()
    assert process.returncode == 130
    assert error.startswith("stopped")
    assert error.count("\n") == 1
