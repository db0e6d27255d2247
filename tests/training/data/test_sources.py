import shutil
from pathlib import Path

import pytest

from model.images.preprocess import Preprocess
from tests.trees import cifake_tree, hackathon_tree
from training.data.labelled_images import DataError
from training.data.sources import kind_of, read_test, read_training


@pytest.mark.parametrize(
    "folders",
    ["train test REAL FAKE", "train test real fake", "Train TEST Real fAKE", "train test REAL fake"],
)
def test_a_cifake_tree(folders: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2, folders=folders)
    source = read_training(tmp_path, Preprocess())
    assert (source.kind, len(source.pictures)) == ("CIFAKE tree", 6)
    assert [len(pictures) for pictures in source.elsewhere] == [4]
    assert len(read_test(tmp_path, Preprocess()).pictures) == 4
    with pytest.raises(DataError, match="no detector's word"):
        read_training(tmp_path, Preprocess(), "detector")


@pytest.mark.parametrize("folders", ["train test REAL FAKE", "train test real fake"])
def test_one_split(folders: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2, folders=folders)
    for read in (read_training, read_test):
        source = read(tmp_path / "test", Preprocess())
        assert (source.kind, len(source.pictures), source.elsewhere) == ("folder with REAL/ and FAKE/", 4, [])
    with pytest.raises(DataError, match="no detector's word"):
        read_training(tmp_path / "test", Preprocess(), "mixture")


@pytest.mark.parametrize("folders", ["train test REAL FAKE", "train test real fake"])
@pytest.mark.parametrize("missing", ["train", "test"])
def test_half_a_cifake_tree(missing: str, folders: str, tmp_path: Path) -> None:
    """It is judged on no picture that it may have been trained on, and trained on none that judges it."""
    shutil.rmtree(cifake_tree(tmp_path, 3, 2, folders) / missing)
    works, fails = (read_training, read_test) if missing == "test" else (read_test, read_training)
    assert works(tmp_path, Preprocess()).kind == "CIFAKE tree"
    with pytest.raises(DataError, match=f"is a CIFAKE tree without {missing}/"):
        fails(tmp_path, Preprocess())


@pytest.mark.parametrize(("place", "one"), [(".", "TRAIN"), ("train", "real"), ("test", "Fake")])
def test_names_that_differ_in_case_only(place: str, one: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=1, test=1)
    (tmp_path / place / one).mkdir()
    with pytest.raises(DataError, match=f"(?i){one}/ and {one}/, which differ in case only"):
        read_training(tmp_path, Preprocess())


@pytest.mark.parametrize(
    "folders",
    ["{}_cifake_images", "train/{}_cifake_images", "train/{}", "{}", "Train/{}", "{}_CIFAKE_images"],
)
@pytest.mark.parametrize("test", ["test_images", "test/test_images", "test", "Test_Images", None])
@pytest.mark.parametrize("opinions", [True, False])
def test_layouts_of_a_hackathon_tree(folders: str, test: str | None, opinions: bool, tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 1, 1, folders)
    given = tmp_path / "test_images"
    if test is None:
        shutil.rmtree(given)
    else:
        for part in given.rename(tmp_path / "moved").iterdir():
            (tmp_path / test).mkdir(parents=True)
            part.rename(tmp_path / test / part.name)
        (tmp_path / "moved").rmdir()
    if not opinions:
        for path in tmp_path.glob("*.json"):
            path.unlink()
    bare = {"{}": "folder with REAL/ and FAKE/"}.get(folders, "CIFAKE tree")
    certain = "_images" in folders or test is not None or opinions
    assert kind_of(tmp_path) == ("hackathon tree" if certain else bare)


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
