"""Tables of text, and numbers rounded to what their uncertainty allows."""

import math
from collections.abc import Iterable, Sequence

MAX_DECIMALS = 6
DECIMALS, PERCENT_DECIMALS = 4, 2  # where an interval has no width


def table(rows: Iterable[Sequence[str]], header: Sequence[str] = (), align: str = "") -> str:
    """Lines of columns, two spaces apart. Rows may be shorter than the longest.

    align: `<` or `>` for each column; further columns are as the last one, and all are `<` by default.
    """
    lines = [row for row in [header, *rows] if row]
    count = max(map(len, lines), default=0)
    align = (align or "<").ljust(count, (align or "<")[-1])
    columns = [[row[i] for row in lines if i < len(row)] for i in range(count)]
    widths = [max(map(len, column)) for column in columns]
    return "\n".join(
        "  ".join(f"{cell:{align[i]}{widths[i]}}" for i, cell in enumerate(row)).rstrip() for row in lines
    )


def decimals(interval: Sequence[float], default: int = DECIMALS) -> int:
    """How many decimals leave half the width of an interval (low, high) two significant digits.

    More say nothing (JCGM 100:2008, "Guide to the Expression of Uncertainty in Measurement", 7.2.6).
    default: for an interval without width.
    """
    low, high = interval
    half = abs(high - low) / 2
    if not 0 < half < math.inf:
        return default
    return min(MAX_DECIMALS, max(0, 1 - math.floor(math.log10(half))))


def number(value: float, interval: Sequence[float], default: int = DECIMALS) -> tuple[str, str]:
    """(a number, its interval as `low to high`), both rounded to what the interval allows."""
    places = decimals(interval, default)
    return f"{value:.{places}f}", f"{interval[0]:.{places}f} to {interval[1]:.{places}f}"


def percentage(share: float, interval: Sequence[float]) -> tuple[str, str]:
    """The same of a share in [0, 1], in per cent."""
    low, high = interval
    places = decimals((100 * low, 100 * high), PERCENT_DECIMALS)
    return f"{share:.{places}%}", f"{low:.{places}%} to {high:.{places}%}"
