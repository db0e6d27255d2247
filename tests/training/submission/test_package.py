import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from pptx import Presentation

from training.evaluation.validation_overlap import overlap_metrics
from training.submission.package import SubmissionError, build_zip, check_predictions

NAMES = ["1.png", "2.png", "10.png"]


def rows(**changes: object) -> bytes:
    values: dict[str, object] = {"1.png": 0.1, "2.png": 0.99, "10.png": 1} | changes
    return json.dumps([{"image_id": name, "prediction": value} for name, value in values.items()]).encode()


def test_valid_predictions() -> None:
    assert check_predictions(rows(), NAMES)[1] == {"image_id": "2.png", "prediction": 0.99}


@pytest.mark.parametrize(
    ("predictions", "message"),
    [
        (b"[", "not JSON"),
        (b"{}", "must be a list"),
        (b'[{"image_id": "1.png"}]', "must be a list"),
        (rows(**{"3.png": 0.5}), "not a test picture: 3.png"),
        (rows()[:-1] + b', {"image_id": "1.png", "prediction": 0.5}]', "duplicate: 1.png"),
        (b'[{"image_id": "1.png", "prediction": 0.5}]', "missing: 10.png, 2.png"),
        (rows(**{"1.png": 1.01}), r"without a number in \[0, 1\]: 1.png"),
        (rows(**{"1.png": -0.1}), "without a number"),
        (rows(**{"1.png": float("nan")}), "without a number"),
        (rows(**{"1.png": True}), "without a number"),
        (rows(**{"1.png": "0.5"}), "without a number"),
        (rows(**{"1.png": None}), "without a number"),
    ],
)
def test_invalid_predictions(predictions: bytes, message: str) -> None:
    with pytest.raises(SubmissionError, match=message):
        check_predictions(predictions, NAMES)


def test_the_zip(run: Path, tmp_path: Path) -> None:
    path = tmp_path / "out" / "x_submission.zip"
    build_zip(path, "x", rows(), NAMES, run, tmp_path / "data")
    with zipfile.ZipFile(path) as archive:
        assert archive.namelist() == ["x_prediction.json", "README.md", "x_presentation.pptx"]
        assert archive.read("x_prediction.json") == rows()
        readme = archive.read("README.md").decode()
        deck = Presentation(io.BytesIO(archive.read("x_presentation.pptx")))
    assert "3 predictions" in readme
    assert "2 are 0.5 or more" in readme
    assert deck.slides[0].placeholders[1].text == "x\n3 predictions by a ResNet18"


@pytest.mark.parametrize("count", [None, 0, 150, 200])
def test_the_readme_tells_both_figures_or_none(count: int | None, run: Path, tmp_path: Path) -> None:
    report = json.loads((run / "metrics.json").read_text()) | {"notes": ["Training brought nothing."]}
    if count is not None:
        labels = np.arange(200) % 2
        report |= overlap_metrics(np.arange(200) < count, labels.astype(float), labels)
    (run / "metrics.json").write_text(json.dumps(report))
    build_zip(tmp_path / "x.zip", "x", rows(), NAMES, run, tmp_path / "data", ["A remark."])
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        readme = " ".join(archive.read("README.md").decode().split())
    assert ("held out from this training: accuracy" in readme) is (count != 200)
    assert ("no figure for unseen pictures" in readme) is (count == 200)
    assert ("On the other 50: accuracy 100.00% (95 % interval 92.87% to 100.00%)" in readme) is (count == 150)
    assert (f"{count} of the 200 validation pictures" in readme) is (count is not None)
    assert "A remark. " in readme
    assert "Training brought nothing. " in readme


def test_invalid_predictions_give_no_zip(run: Path, tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match="missing"):
        build_zip(tmp_path / "x.zip", "x", b"[]", NAMES, run, tmp_path / "data")
    with pytest.raises(SubmissionError, match=r"no metrics\.json"):
        build_zip(tmp_path / "x.zip", "x", rows(), NAMES, tmp_path, tmp_path / "data")
    assert not (tmp_path / "x.zip").exists()
