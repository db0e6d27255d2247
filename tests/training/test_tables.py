import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.tables import decimals, number, percentage, table


@pytest.mark.parametrize(
    ("value", "interval", "shown"),
    [
        (0.976312, (0.973141, 0.979142), ("97.63%", "97.31% to 97.91%")),
        (0.82, (0.7794, 0.8545), ("82.0%", "77.9% to 85.5%")),
        (2 / 3, (0.3, 0.9), ("67%", "30% to 90%")),
        (1.0, (1.0, 1.0), ("100.00%", "100.00% to 100.00%")),
    ],
)
def test_shares(value: float, interval: tuple[float, float], shown: tuple[str, str]) -> None:
    assert percentage(value, interval) == shown


def test_numbers() -> None:
    assert number(0.9974183, (0.9966, 0.9981)) == ("0.99742", "0.99660 to 0.99810")
    assert number(5.678, (3.1, 8.2)) == ("5.7", "3.1 to 8.2")
    assert number(1.0, (1.0, 1.0)) == ("1.0000", "1.0000 to 1.0000")


@settings(derandomize=True, deadline=None)
@given(st.floats(-1e3, 1e3), st.floats(1e-4, 1e3))
def test_half_the_width_keeps_two_significant_digits(middle: float, half: float) -> None:
    places = decimals((middle - half, middle + half))
    assert places == 0 or 9.9 <= half * 10**places < 100.1
    assert places > 0 or half >= 9.9


@pytest.mark.parametrize("interval", [(0.5, 0.5), (math.nan, math.nan), (-math.inf, math.inf)])
def test_without_a_width_the_default_holds(interval: tuple[float, float]) -> None:
    assert decimals(interval) == 4
    assert decimals(interval, 2) == 2


CELLS = st.text(st.characters(categories=["L", "N"]), max_size=8)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=1, max_size=5), st.text("<>", max_size=5))
def test_the_cells_of_a_column_stand_under_one_another(rows: list[list[str]], align: str) -> None:
    lines = table(rows, align=align).split("\n")
    assert len(lines) == len(rows)
    start = 0
    sides = (align or "<").ljust(4, (align or "<")[-1])
    for column in range(max(map(len, rows))):
        cells = [(line, row[column]) for line, row in zip(lines, rows, strict=True) if column < len(row)]
        width = max(len(cell) for _, cell in cells)
        for line, cell in cells:
            padded = cell.ljust(width) if sides[column] == "<" else cell.rjust(width)
            assert line[start : start + width].ljust(width) == padded
        start += width + 2


def test_the_header_is_the_first_line() -> None:
    assert table([("a", "1"), ("bcd", "20")], ("x", "y"), "<>") == "x     y\na     1\nbcd  20"
    assert table([]) == ""
