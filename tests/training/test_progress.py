"""Progress is told on standard error: by a bar on a terminal, and else by a line now and then."""

import os
import pty
import re
import subprocess
import sys
import termios
import threading
from collections.abc import Callable

import pytest

from model import ROOT
from training import progress

PROGRAM = """
import sys, time
from training import progress
progress.DELAY = 0.0
items = progress.track([1, 2, 3], "reading", "file")
for number in items:
    items.note = f"loss {number}"
    time.sleep(0.15)
    progress.write(f"row {number}")
    if number == 3 and len(sys.argv) > 1:
        progress.clear()
        print("error: told", file=sys.stderr)
"""


def on_a_terminal(*arguments: str) -> tuple[str, str]:
    """What the program writes to standard output, a pipe, and to standard error, a terminal of 80 columns."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    with subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=theirs,
    ) as process:
        os.close(theirs)
        written = bytearray()

        def read() -> None:
            try:
                while part := os.read(ours, 1 << 16):
                    written.extend(part)
            except OSError:  # the terminal's other end is closed
                pass

        reader = threading.Thread(target=read)
        reader.start()
        out, _ = process.communicate(timeout=60)
        reader.join(10)
    os.close(ours)
    assert process.returncode == 0
    return out.decode(), written.decode()


def test_a_terminal_has_a_bar_with_the_time_left_and_a_pipe_has_none_of_it() -> None:
    out, error = on_a_terminal()
    assert out == "row 1\nrow 2\nrow 3\n"
    assert re.search(r"reading: +\d+%\|.*\| 2/3 \[00:00<00:00,.* files?/s, loss 2\]", error)
    assert error.rstrip(" ").endswith("\r")  # the bar is wiped out


def test_the_bar_is_taken_away_before_an_error_is_told() -> None:
    _, error = on_a_terminal("error")
    line = error[: error.index("error: told")].rsplit("\r", 1)
    assert line[1] == ""
    assert not line[0].rsplit("\r", 1)[-1].strip()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    now = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])

    def wait(seconds: float) -> None:
        now[0] += seconds

    return wait


def test_a_log_has_a_line_a_minute(
    clock: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    for _ in progress.track(range(10), "reading", "files"):
        clock(20)
    out, error = capsys.readouterr()
    assert out == ""
    assert error.splitlines() == [
        "reading: 3 of 10 files, about 2 min left",
        "reading: 6 of 10 files, about 1 min left",
        "reading: 9 of 10 files, about 0 min left",
    ]


@pytest.mark.parametrize(("count", "size"), [(0, 3), (1, 3), (3, 3), (10, 3)])
def test_slices_cover_all(count: int, size: int, capsys: pytest.CaptureFixture[str]) -> None:
    parts = [list(range(count))[part] for part in progress.slices(count, size, "work")]
    assert [one for part in parts for one in part] == list(range(count))
    assert all(1 <= len(part) <= size for part in parts)
    assert capsys.readouterr() == ("", "")


def test_a_loop_that_ends_early_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress.sys.stderr, "isatty", lambda: True, raising=False)
    for _ in progress.track(range(3), "work"):
        assert len(progress._shown) == 1
        break
    assert progress._shown == []
