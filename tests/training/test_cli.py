import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from tests.pictures import encode, noise
from training import cli
from training.recipes import RECIPES


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A CIFAKE tree of 40 pictures to train on, one of which stands in its test split too."""
    for split, count, first in (("train", 20, 0), ("test", 4, 500)):
        for label, offset in (("REAL", 0), ("FAKE", 1000)):
            folder = tmp_path / "cifake" / split / label
            folder.mkdir(parents=True)
            for i in range(count):
                picture = noise(first + offset + i) // (1 if label == "REAL" else 2)
                (folder / f"{i}.png").write_bytes(encode(picture.astype(np.uint8)))
    leak = tmp_path / "cifake" / "test" / "REAL" / "leak.png"
    leak.write_bytes(encode(noise(0)))
    return tmp_path / "cifake"


@pytest.fixture
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = replace(RECIPES["cifake"], windows=(8,), batch_size=8, validation=0.2)
    monkeypatch.setitem(RECIPES, "cifake", recipe)


@pytest.mark.usefixtures("_quick")
def test_from_folders_to_a_checkpoint_to_its_figures(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run" / "cifake_model.pth"
    assert cli.main(["train", "--data", str(tree), "--out", str(out), "--device", "cpu"]) == 0
    printed = capsys.readouterr().out
    assert "dropped 1 that stand in test too and 0 repeats; 31 to train on, 8 to validate with" in printed
    assert "temperature" in printed
    checkpoint = Checkpoint.load(out)
    assert checkpoint.recipe["name"] == "cifake"
    assert checkpoint.recipe["init"] == "none"
    assert checkpoint.data["training"]["pictures"] == 31
    assert checkpoint.metrics["validation"]["pictures"] == 8
    assert checkpoint.temperature > 0
    assert (out.parent / "history.csv").is_file()

    report = tmp_path / "report" / "figures.json"
    arguments = [
        "evaluate",
        "--data",
        str(tree),
        "--model",
        str(out),
        "--json",
        str(report),
        "--device",
        "cpu",
    ]
    assert cli.main(arguments) == 0
    figures = json.loads(report.read_text())
    assert figures["pictures"] == 9
    assert figures["model_sha256"] == checkpoint.digest
    assert f"accuracy   {figures['accuracy']:.2%}" in capsys.readouterr().out

    # The folder of a split does as well as the tree it stands in.
    again = tmp_path / "again.json"
    arguments[2], arguments[6] = str(tree / "test"), str(again)
    assert cli.main(arguments) == 0
    assert json.loads(again.read_text())["data"]["sha256"] == figures["data"]["sha256"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["train", "--data", "nowhere", "--out", "x.pth"], "no folder REAL"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--init", "nowhere.pth"], "there is no file"),
        (["train", "--data", "nowhere", "--out", "x.pth", "--device", "abacus"], "abacus"),
        (["evaluate", "--data", "nowhere"], "no folder REAL"),
        (["evaluate", "--data", "nowhere", "--model", "nowhere.pth"], "there is no file"),
    ],
)
def test_mistakes_get_a_sentence(
    arguments: list[str],
    sentence: str,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert sentence in error
    assert list(tmp_path.iterdir()) == []
