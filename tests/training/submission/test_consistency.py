import json
from pathlib import Path
from typing import Any

import pytest

from model.checkpoint import Checkpoint
from model.metadata import Label, digest_of
from model.predictions import encode as encode_predictions
from model.predictor import Predictor
from tests.pictures import encode, noise
from training.submission.consistency import check_consistency
from training.submission.infer import infer
from training.submission.origin import Origin, origin_path, read_origin, sha256, write_origin
from training.submission.package import SubmissionError

BODY = b'[{"image_id": "1.png", "prediction": 0.25}]'


def origin(**changes: Any) -> Origin:
    values = {
        "predictions_sha256": sha256(BODY),
        "model_sha256": "ab",
        "positive_class": "FAKE",
        "images": "x",
    }
    return Origin(**values | changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x_prediction.json"


def test_the_record_of_the_file(path: Path) -> None:
    assert read_origin(path, BODY) is None
    write_origin(path, origin())
    assert origin_path(path).name == "x_prediction.meta.json"
    assert read_origin(path, BODY) == origin()
    assert read_origin(path, BODY + b" ") is None  # written again, by something else


@pytest.mark.parametrize("content", ["", "[]", "{}", "null", '{"predictions_sha256": 1}', "\udcff"])
def test_a_damaged_record_is_none(content: str, path: Path) -> None:
    origin_path(path).write_bytes(content.encode("utf-8", "surrogateescape"))
    assert read_origin(path, BODY) is None


def report(label_1: Label = "FAKE", model: str | None = "ab") -> dict[str, Any]:
    return {"data": {"label_1": label_1}} | ({"model_sha256": model} if model else {})


@pytest.mark.parametrize(
    ("changes", "run_report", "message"),
    [
        (
            {},
            report("REAL"),
            r"they are P\(FAKE\), and the run's label 1 means REAL\. Run .* --positive REAL",
        ),
        (
            {"positive_class": "REAL"},
            report(),
            r"P\(REAL\), and the run's label 1 means FAKE.* --positive FAKE",
        ),
        ({"model_sha256": "cd"}, report(), "they are by the model cd, and the run's is ab"),
        ({}, report(model=None), "has no model_sha256"),
    ],
)
def test_what_does_not_fit_is_refused_and_force_insists(
    changes: dict[str, Any], run_report: dict[str, Any], message: str, path: Path, tmp_path: Path
) -> None:
    write_origin(path, origin(**changes))
    with pytest.raises(SubmissionError, match=message):
        check_consistency(path, BODY, tmp_path, run_report, tmp_path, force=False)
    [remark] = check_consistency(path, BODY, tmp_path, run_report, tmp_path, force=True)
    assert remark.startswith("Packed with --force, although the predictions do not fit the run: ")


@pytest.mark.parametrize("missing", [0, 2])
def test_what_fits(missing: int, path: Path, tmp_path: Path) -> None:
    write_origin(path, origin(missing=missing))
    remarks = check_consistency(path, BODY, tmp_path, report(), tmp_path, force=False)
    assert remarks == ["2 test pictures could not be read: they have a fixed prediction."] * bool(missing)


@pytest.mark.parametrize("positive_class", ["REAL", "FAKE"])
def test_predictions_without_a_record_are_compared_with_the_runs_model(
    positive_class: Label, path: Path, tmp_path: Path, random_checkpoint: Checkpoint
) -> None:
    run, test = tmp_path / "run", tmp_path / "test"
    test.mkdir()
    for i in range(5):
        (test / f"{i}.png").write_bytes(encode(noise(i)))
    random_checkpoint.with_metadata(positive_class="FAKE").save(run / "x.pth")
    rows = infer(test, Predictor.load(run / "x.pth", "cpu")).rows
    body = encode_predictions(rows, positive_class)
    run_report = report("FAKE", digest_of(run / "x.pth"))
    if positive_class == "FAKE":
        [remark] = check_consistency(path, body, run, run_report, test, force=False)
        assert "the run's model decides 100.0% of them likewise" in remark
    else:
        with pytest.raises(
            SubmissionError, match=r"agree with the run's model on 0\.0% of the pictures only"
        ):
            check_consistency(path, body, run, run_report, test, force=False)
        assert len(check_consistency(path, body, run, run_report, test, force=True)) == 2
    (run / "x.pth").unlink()
    [remark] = check_consistency(path, body, run, run_report, test, force=False)
    assert "only names and numbers were checked" in remark
    assert json.loads(body)
