import io
import json
import zipfile
from pathlib import Path

import pytest
from pptx import Presentation

from training.evaluation.plots import plot_run
from training.submission.model_card import model_card
from training.submission.package import SubmissionError, build_zip, check_predictions, read_run

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
    build_zip(
        path,
        "x",
        rows(),
        check_predictions(rows(), NAMES),
        read_run(run),
        run,
        tmp_path / "data",
        ["A remark."],
    )
    with zipfile.ZipFile(path) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    plots = ["loss_curve", "accuracy_curve", "confusion", "roc", "reliability"]
    assert list(files) == [
        "README.md",
        "MODEL_CARD.md",
        "x_prediction.json",
        "x_presentation.pptx",
        *(f"plots/{name}.png" for name in plots),
        "notebooks/training.ipynb",
        "notebooks/evaluation.ipynb",
    ]
    assert files["x_prediction.json"] == rows()
    assert {path.stem: path.read_bytes() for path in plot_run(run)} == {
        name: files[f"plots/{name}.png"] for name in plots
    }
    readme = files["README.md"].decode()
    for name in [*files][1:]:
        assert f"\n- `{name}`: " in readme
    assert "\n\nA remark.\n\n" in readme
    assert f"`x_prediction.json`: {len(NAMES)} predictions from 0 to 1; 2 are 0.5 or more." in readme
    assert files["MODEL_CARD.md"].decode() == model_card("x", read_run(run))
    deck = Presentation(io.BytesIO(files["x_presentation.pptx"]))
    assert deck.slides[0].placeholders[1].text == "x\n3 predictions by ResNet18"


def test_a_run_without_epochs_has_no_curves(run: Path, tmp_path: Path) -> None:
    (run / "history.csv").unlink()
    build_zip(
        tmp_path / "x.zip",
        "x",
        rows(),
        check_predictions(rows(), NAMES),
        read_run(run),
        run,
        tmp_path / "data",
    )
    with zipfile.ZipFile(tmp_path / "x.zip") as archive:
        names, readme = archive.namelist(), archive.read("README.md").decode()
    for name in ("loss_curve", "confusion"):
        assert (f"plots/{name}.png" in names) is (f"plots/{name}.png" in readme) is (name == "confusion")


def test_a_folder_that_is_no_run(tmp_path: Path) -> None:
    with pytest.raises(SubmissionError, match=r"no metrics\.json"):
        read_run(tmp_path)
