import json
from pathlib import Path

import numpy as np
import pytest

from training.data.labelled_images import DataError
from training.evaluation.run_folder import (
    Validation,
    backbone_title,
    read_history,
    read_report,
    read_validation,
)

LABELS = np.array([1, 1, 0, 0], np.uint8)
PREDICTIONS = np.array([0.9, 0.2, 0.1, 0.5])


@pytest.mark.parametrize(
    ("label_1", "is_real", "answers_real", "p_real"),
    [
        ("REAL", [1, 1, 0, 0], [1, 0, 0, 1], [0.9, 0.2, 0.1, 0.5]),
        (None, [1, 1, 0, 0], [1, 0, 0, 1], [0.9, 0.2, 0.1, 0.5]),
        ("FAKE", [0, 0, 1, 1], [0, 1, 1, 0], [0.1, 0.8, 0.9, 0.5]),
    ],
)
def test_labels_and_predictions_in_truth(
    label_1: str | None, is_real: list[int], answers_real: list[int], p_real: list[float]
) -> None:
    validation = Validation(list("abcd"), LABELS, PREDICTIONS, None, label_1)
    assert validation.is_real.tolist() == [bool(one) for one in is_real]
    assert validation.answers_real.tolist() == [bool(one) for one in answers_real]
    assert validation.p_real.tolist() == pytest.approx(p_real)


def test_the_files_of_a_run(run: Path) -> None:
    validation, history = read_validation(run), read_history(run)
    assert validation is not None
    assert history is not None
    assert len(validation.names) == len(validation.labels) == len(validation.predictions) == 200
    assert validation.uncalibrated is not None
    assert validation.label_1 == read_report(run)["data"]["label_1"] == "FAKE"
    assert history["epoch"].tolist() == ["1", "2", "3", "4", "5"]


def test_missing_files(tmp_path: Path) -> None:
    assert read_report(tmp_path) == {}
    assert read_history(tmp_path) is None
    assert read_validation(tmp_path) is None


def test_a_run_without_a_record_of_label_1(run: Path) -> None:
    (run / "metrics.json").write_text(json.dumps({"folds": 5, "validation": {}}))
    validation = read_validation(run)
    assert validation is not None
    assert validation.label_1 is None


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("metrics.json", "{", "is not JSON"),
        ("metrics.json", "[]", "is not a JSON object"),
        ("history.csv", "", "is empty"),
        ("history.csv", "epoch,train_loss\n1,0.5\n", "has no column train_accuracy, validation_accuracy"),
        ("validation.csv", "name,label,prediction\n", "is empty"),
        ("validation.csv", "name,label\na.png,1\n", "has no column prediction"),
    ],
)
def test_invalid_files(name: str, text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(DataError, match=message):
        {"metrics.json": read_report, "history.csv": read_history, "validation.csv": read_validation}[name](
            tmp_path
        )


@pytest.mark.parametrize(
    ("record", "title"),
    [({}, "ResNet18"), ({"backbone": "resnet18"}, "ResNet18"), ({"backbone": "vit_tiny"}, "ViT-Tiny")],
)
def test_older_records_are_of_resnet18(record: dict[str, str], title: str) -> None:
    assert backbone_title({"architecture": {"stem": "small"} | record}) == title
