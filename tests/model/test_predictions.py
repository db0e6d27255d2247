import json
from pathlib import Path

import pytest

from model import predictions


def test_rows_stand_in_natural_order() -> None:
    rows = json.loads(predictions.encode([("10.png", 0.25), ("2.png", 0.12345678)]))
    assert rows == [
        {"image_id": "2.png", "prediction": 0.123457},
        {"image_id": "10.png", "prediction": 0.25},
    ]


def test_fake_can_be_the_positive_label() -> None:
    [row] = json.loads(predictions.encode([("1.png", 0.00025)], "FAKE"))
    assert row["prediction"] == 0.99975


def test_natural_order() -> None:
    names = ["b1.png", "10.png", "a10.png", "9.png", "a9.png", "010.png", "1" * 5000 + ".png"]
    expected = ["9.png", "10.png", "010.png", "1" * 5000 + ".png", "a9.png", "a10.png", "b1.png"]
    assert sorted(names, key=predictions.natural_key) == expected


@pytest.mark.parametrize("name", ["x", "Team Rocket", "a.b-c_1"])
def test_teams(name: str) -> None:
    assert predictions.validate_team(name) == name


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "x" * 65, "x\n"])
def test_what_is_no_team(name: str) -> None:
    with pytest.raises(predictions.TeamNameError, match="1 to 64 letters"):
        predictions.validate_team(name)


def test_what_is_no_label() -> None:
    assert predictions.validate_positive_class("FAKE") == "FAKE"
    with pytest.raises(ValueError, match="REAL or FAKE, not 'fake'"):
        predictions.validate_positive_class("fake")


def test_files_of_a_team(tmp_path: Path) -> None:
    path = predictions.write(tmp_path, "x", b"[]", [("3.png", "cut short")])
    assert path == tmp_path / "x_prediction.json"
    assert path.read_bytes() == b"[]"
    listed = json.loads((tmp_path / "x_unreadable.json").read_text())
    assert listed == [{"image_id": "3.png", "error": "cut short"}]
    predictions.write(tmp_path, "x", b"[1]", [])
    assert [file.name for file in tmp_path.iterdir()] == ["x_prediction.json"]
    assert path.read_bytes() == b"[1]"
