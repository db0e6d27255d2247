from dataclasses import asdict, fields
from pathlib import Path

import pytest
import torch

from model import SHIPPED
from model.calibration import Calibration
from model.checkpoint import Checkpoint
from model.formats import FORMAT, is_checkpoint, upgrade
from model.metadata import CheckpointError, CheckpointMetadata
from training.fitting.recipe import Recipe
from training.fitting.recipes import RECIPES


def test_the_shipped_file_is_of_a_version_that_is_read() -> None:
    content = torch.load(SHIPPED, weights_only=True)
    assert is_checkpoint(content)
    new = upgrade(content)
    assert new["format"] == FORMAT
    assert CheckpointMetadata.from_dict(new).to_dict().keys() <= new.keys()
    assert upgrade(new) == new


def test_every_name_of_its_recipe_is_one_of_today() -> None:
    """A name that was forgotten would be told by its old word only."""
    checkpoint = Checkpoint.load(SHIPPED)
    recipe = asdict(RECIPES["cifake"])
    added = {"overrides", "precision"}  # by the run
    assert checkpoint.metadata.recipe.keys() - added <= recipe.keys()
    newer = recipe.keys() - checkpoint.metadata.recipe.keys()
    defaults = {field.name: field.default for field in fields(Recipe)}
    assert all(recipe[name] == defaults[name] for name in newer)  # not there then: changes nothing
    assert checkpoint.metadata.recipe["augmentation"].keys() == recipe["augmentation"].keys()
    assert checkpoint.metadata.ood_detector is not None


def test_another_threshold_is_refused(tmp_path: Path) -> None:
    content = torch.load(SHIPPED, weights_only=True) | {"threshold": 0.6, "format": "cifake-checkpoint/1"}
    torch.save(content, tmp_path / "x.pth")
    with pytest.raises(CheckpointError, match=r"threshold of 0\.6"):
        Checkpoint.load(tmp_path / "x.pth")


def test_what_is_saved_is_of_the_newest(random_checkpoint: Checkpoint, tmp_path: Path) -> None:
    random_checkpoint.with_metadata(calibration=Calibration(2.0)).save(tmp_path / "x.pth")
    content = torch.load(tmp_path / "x.pth", weights_only=True)
    assert content["format"] == FORMAT
    assert not is_checkpoint({"format": "cifake-checkpoint/3"})
    assert not is_checkpoint({})
