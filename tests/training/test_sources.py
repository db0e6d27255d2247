from pathlib import Path

import pytest

from model.preprocess import Preprocess
from tests.trees import cifake_tree, hackathon_tree
from training.data import DataError
from training.sources import read_test, read_training


def test_a_cifake_tree(tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2)
    source = read_training(tmp_path, Preprocess())
    assert (source.kind, len(source.pictures)) == ("CIFAKE tree", 6)
    assert [len(pictures) for pictures in source.elsewhere] == [4]
    assert len(read_test(tmp_path, Preprocess()).pictures) == 4
    with pytest.raises(DataError, match="no detector's word"):
        read_training(tmp_path, Preprocess(), "detector")


def test_one_split(tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2)
    for read in (read_training, read_test):
        source = read(tmp_path / "test", Preprocess())
        assert (source.kind, len(source.pictures), source.elsewhere) == ("folder with REAL/ and FAKE/", 4, [])


def test_a_hackathon_tree(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 3)
    (tmp_path / "real_cifake_images" / "2.png").unlink()
    for read in (read_training, read_test):
        source = read(tmp_path, Preprocess())
        assert (source.kind, len(source.pictures)) == ("hackathon tree", 5)
        assert source.findings == {"missing picture": ["real_cifake_images/2"]}


def test_other_folders_are_told(tmp_path: Path) -> None:
    for read in (read_training, read_test):
        with pytest.raises(DataError, match="neither a CIFAKE tree .* nor a hackathon tree"):
            read(tmp_path, Preprocess())
        with pytest.raises(DataError, match="there is no folder"):
            read(tmp_path / "nowhere", Preprocess())


def test_half_a_split_is_told(tmp_path: Path) -> None:
    (tmp_path / "REAL").mkdir()
    with pytest.raises(DataError, match="no folder FAKE"):
        read_training(tmp_path, Preprocess())
