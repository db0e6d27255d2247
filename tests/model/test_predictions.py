import json
import re
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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


def parts(name: str) -> list[tuple]:
    """The parts of a name in the order of their kinds: numbers by value, then text."""
    found = re.findall(r"[0-9]+|[^0-9]+", name)
    return [(0, int(part)) if part[0] in "0123456789" else (1, part) for part in found]


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.lists(st.text(st.sampled_from("0129ab.\x01٣é😀"), max_size=8), max_size=6))
def test_natural_order_is_that_of_the_parts_of_names(names: list[str]) -> None:
    assert sorted(names, key=predictions.natural_key) == sorted(names, key=parts)


def test_memory_of_names_of_many_parts() -> None:
    rows = [(f"{number}" + "1a" * 120, 0.5) for number in range(500)]
    tracemalloc.start()
    body = predictions.encode(rows)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8 * len(body)


def test_equal_names_are_not_written() -> None:
    with pytest.raises(ValueError, match="two pictures are named '1.png'"):
        predictions.encode([("2.png", 0.1), ("1.png", 0.2), ("1.png", 0.3)])
    with pytest.raises(ValueError, match="two pictures are named 'é.png'"):
        predictions.encode([("é.png", 0.2), ("\udce9.png", 0.3)])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("1.png", "1.png"),
        ("é写😀.png", "é写😀.png"),
        ("\udce9.png", "é.png"),  # Latin-1 on a disk
        ("é\udce9.png", "Ã©é.png"),
        ("\udcc3\udca9.png", "é.png"),
        ("\ud800.png", "í\xa0\x80.png"),
    ],
)
def test_image_ids_are_valid_text(name: str, expected: str) -> None:
    assert predictions.image_id(name) == expected
    [row] = json.loads(predictions.encode([(name, 0.5)]))
    [unreadable] = predictions.unreadable_rows([(name, "cut short")])
    assert row["image_id"] == unreadable["image_id"] == expected


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.text(st.characters(), max_size=20), st.binary(max_size=20))
def test_any_name_gives_valid_text(name: str, on_disk: bytes) -> None:
    for text in (name, on_disk.decode("utf-8", "surrogateescape")):
        predictions.image_id(text).encode()  # fails for surrogates
    valid = name.encode("utf-8", "replace").decode()
    assert predictions.image_id(valid) == valid


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
