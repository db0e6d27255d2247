import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from training.evaluation.validation_overlap import overlap_metrics
from training.submission import package
from training.submission.readme import NOTEBOOKS, PLOTS, paragraphs, readme


def report_with(run: Path, seen: int | None) -> dict[str, Any]:
    """The report of the run, whose initial weights had seen some of its 200 validation pictures."""
    labels = np.arange(200) % 2
    report = json.loads((run / "metrics.json").read_text()) | {"notes": ["Training brought nothing."]}
    return report | (
        {} if seen is None else overlap_metrics(np.arange(200) < seen, labels.astype(float), labels)
    )


@pytest.mark.parametrize("seen", [None, 0, 150, 200])
def test_the_readme_tells_both_figures_or_none(seen: int | None, run: Path) -> None:
    text = " ".join(readme("x", report_with(run, seen), 500, 250, PLOTS, ["A remark."]).split())
    assert ("held out from this training: accuracy" in text) is (seen != 200)
    assert ("no figure for unseen pictures" in text) is (seen == 200)
    assert ("On the other 50: accuracy 100.00% (95 % interval 92.87% to 100.00%)" in text) is (seen == 150)
    assert (f"{seen} of the 200 validation pictures" in text) is (seen is not None)
    assert " A remark. Model: ResNet18, recipe " in text
    assert " Training brought nothing. " in text
    assert 'label 1 ("real") in the training data are FAKE pictures' in text


def test_every_notebook_is_described() -> None:
    assert {path.name for path in package.NOTEBOOK_FOLDER.glob("*.ipynb")} == set(NOTEBOOKS)


def test_paragraphs_are_wrapped_and_lists_are_not() -> None:
    long = "word " * 50
    text = paragraphs("# x", long, [f"- {long}", "- y"])
    heading, wrapped, rows = text.split("\n\n")
    assert heading == "# x"
    assert max(map(len, wrapped.splitlines())) <= 110
    assert wrapped.split() == long.split()
    assert rows == f"- {long}\n- y\n"
