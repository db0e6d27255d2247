import json
from pathlib import Path

import pytest

from training.data.reports import torch_writes, truncate_list, write_csv, write_json


def test_json_and_csv(tmp_path: Path) -> None:
    write_json(tmp_path / "new" / "a.json", {"x": [1]})
    assert json.loads((tmp_path / "new" / "a.json").read_text()) == {"x": [1]}
    write_csv(tmp_path / "a.csv", ["name", "p"], [["one, two", 0.5]])
    assert (tmp_path / "a.csv").read_text().splitlines() == ["name,p", '"one, two",0.5']


def test_long_lists_are_truncated() -> None:
    assert truncate_list(["a", "b"], 2) == "a, b"
    assert truncate_list(["a", "b", "c"], 2) == "a, b and 1 more"


@pytest.mark.parametrize("error", [RuntimeError("unexpected pos 64"), OSError(28, "No space left on device")])
def test_what_torch_cannot_write_is_an_oserror_with_the_path(error: Exception) -> None:
    told = r"^run/x\.pth could not be written, is the disk full\?"
    with pytest.raises(OSError, match=told), torch_writes(Path("run/x.pth")):
        raise error
