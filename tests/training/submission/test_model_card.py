from pathlib import Path
from typing import Any

import pytest

from tests.training.submission.test_readme import report_with
from training.submission.model_card import model_card


def card(report: dict[str, Any]) -> str:
    """The card's text, every break and run of spaces as one space."""
    return " ".join(model_card("x", report).split())


@pytest.mark.parametrize("seen", [None, 0, 150, 200])
def test_figures_stand_beside_what_the_initial_weights_had_seen(seen: int | None, run: Path) -> None:
    report = report_with(run, seen)
    text, metrics = card(report), report["validation"]
    for name, title, spec in (("accuracy", "accuracy", ".2%"), ("auroc", "AUROC", ".4f")):
        low, high = metrics[f"{name}_interval"]
        row = f"| {title} | {metrics[name]:{spec}} | {low:{spec}} to {high:{spec}} |"
        assert (row in text) is (seen != 200)
    assert (f"{seen} of the 200 validation pictures stand in" in text) is (seen is not None)
    assert ("So this run has no figure for unseen pictures." in text) is (seen == 200)
    assert ("On the other 50: accuracy 100.00%" in text) is (seen == 150)
    assert ("So the table says little of new pictures." in text) is (seen == 150)


def test_what_the_initial_weights_had_seen_may_be_unknown(run: Path) -> None:
    text = card(report_with(run, None) | {"validation_overlap": None})
    assert "It is not known what the initial weights were trained on" in text
    assert "| accuracy |" in text


@pytest.mark.parametrize(("label_1", "meaning"), [("REAL", "right"), ("FAKE", "the wrong way round")])
def test_what_label_1_means(label_1: str, meaning: str, run: Path) -> None:
    report = report_with(run, None)
    report["data"]["label_1"] = label_1
    text = card(report)
    assert f"Label 1, which they call real, is {label_1} in truth: " in text
    assert f"the labels are {meaning}." in text
    assert f"| precision of {label_1} |" in text


def test_model_and_data_are_identified(run: Path) -> None:
    report = report_with(run, None)
    assert "The run has no record of its file's digest." in card(report)
    report["model_sha256"] = "ab12"
    report["data"]["training"]["sha256"] = "cd34"
    report["data"] |= {"dropped_repeats": 3, "unreadable": 0}
    text = card(report)
    assert "The SHA-256 of its file is `ab12`." in text
    assert "| trained on | 1800 | `cd34` |" in text
    assert "| validation | 200 | `not recorded` |" in text
    assert "Pictures left out before: repeats: 3." in text
    assert "The network is ResNet18, stem `small-pool`, head `linear`, trained by the recipe" in text
    assert "recipe `hackathon` from the initial weights `shipped`" in text
    report["recipe"]["architecture"] |= {"stem": "small", "backbone": "efficientnet_b0"}
    assert "The network is EfficientNet-B0, stem `small`, head `linear`, trained by" in card(report)


@pytest.mark.parametrize(("epoch", "kept"), [(4, "those of epoch 4"), (0, "the initial ones")])
def test_which_weights_are_kept(epoch: int, kept: str, run: Path) -> None:
    assert f"Its weights are {kept}, " in card(report_with(run, None) | {"best_epoch": epoch})
