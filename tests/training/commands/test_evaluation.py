import json
from pathlib import Path

import numpy as np
import pytest

from model.checkpoint import Checkpoint
from tests.trees import cifake_tree
from training import cli
from training.data.fingerprints import read_fingerprints, write_fingerprints


def test_out_is_a_copy_with_the_metrics_of_its_report(
    tmp_path: Path, random_checkpoint: Checkpoint, capsys: pytest.CaptureFixture[str]
) -> None:
    tree = cifake_tree(tmp_path / "cifake")
    model, out, report = tmp_path / "x.pth", tmp_path / "new.pth", tmp_path / "report.json"
    random_checkpoint.with_metadata(metrics={"validation": {"pictures": 8}}).save(model)
    before = Checkpoint.load(model)
    seen = np.arange(3, dtype=np.uint64)
    write_fingerprints(model, before.metadata.digest, seen)
    arguments = ["evaluate", "--data", str(tree), "--model", str(model), "--engine", "torch"]
    assert cli.main([*arguments, "--json", str(report), "--out", str(out)]) == 0
    after = Checkpoint.load(out)
    found = after.metadata.metrics["test"]
    expected = json.loads(report.read_text())
    assert expected.pop("model_sha256") == before.metadata.digest
    assert expected["data"].pop("folder") == str(tree)
    assert found == expected
    assert sum(each["pictures"] for each in found["reliability"]) == found["pictures"]
    assert after.metadata.metrics["validation"] == {"pictures": 8}
    assert after.metadata.data == before.metadata.data
    for name, weight in before.weights.items():
        assert np.array_equal(after.weights[name], weight), name
    assert read_fingerprints(out, after.metadata.digest).tolist() == seen.tolist()

    capsys.readouterr()
    assert cli.main([*arguments, "--out", str(model)]) == 1
    assert "--out is the same file as --model" in capsys.readouterr().err
    assert Checkpoint.load(model).metadata.metrics == before.metadata.metrics
