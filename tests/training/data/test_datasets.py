import shutil
from pathlib import Path

import pytest

from model.images.preprocess import Preprocess
from tests.trees import cifake_tree, hackathon_tree
from training.data.datasets import detect_layout, load_test, load_train
from training.data.labelled_images import DataError


@pytest.mark.parametrize(
    "folders",
    ["train test REAL FAKE", "train test real fake", "Train TEST Real fAKE", "train test REAL fake"],
)
def test_a_cifake_tree(folders: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2, folders=folders)
    dataset = load_train(tmp_path, Preprocess())
    assert (dataset.kind, len(dataset.pictures)) == ("CIFAKE tree", 6)
    assert [len(pictures) for pictures in dataset.excluded] == [4]
    assert len(load_test(tmp_path, Preprocess()).pictures) == 4
    with pytest.raises(DataError, match="no labels by a detector"):
        load_train(tmp_path, Preprocess(), "detector")


@pytest.mark.parametrize("folders", ["train test REAL FAKE", "train test real fake"])
def test_one_split(folders: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=3, test=2, folders=folders)
    for load in (load_train, load_test):
        dataset = load(tmp_path / "test", Preprocess())
        assert dataset.kind == "folder with REAL/ and FAKE/"
        assert (len(dataset.pictures), dataset.excluded) == (4, [])
    with pytest.raises(DataError, match="no labels by a detector"):
        load_train(tmp_path / "test", Preprocess(), "mixture")


@pytest.mark.parametrize("folders", ["train test REAL FAKE", "train test real fake"])
@pytest.mark.parametrize("missing", ["train", "test"])
def test_half_a_cifake_tree(missing: str, folders: str, tmp_path: Path) -> None:
    """Neither split takes the place of the other."""
    shutil.rmtree(cifake_tree(tmp_path, 3, 2, folders) / missing)
    works, fails = (load_train, load_test) if missing == "test" else (load_test, load_train)
    assert works(tmp_path, Preprocess()).kind == "CIFAKE tree"
    with pytest.raises(DataError, match=f"is a CIFAKE tree without {missing}/"):
        fails(tmp_path, Preprocess())


@pytest.mark.parametrize(("place", "one"), [(".", "TRAIN"), ("train", "real"), ("test", "Fake")])
def test_names_that_differ_in_case_only(place: str, one: str, tmp_path: Path) -> None:
    cifake_tree(tmp_path, train=1, test=1)
    (tmp_path / place / one).mkdir()
    with pytest.raises(DataError, match=f"(?i){one}/ and {one}/, which differ in case only"):
        load_train(tmp_path, Preprocess())


@pytest.mark.parametrize(
    "folders",
    ["{}_cifake_images", "train/{}_cifake_images", "train/{}", "{}", "Train/{}", "{}_CIFAKE_images"],
)
@pytest.mark.parametrize("test", ["test_images", "test/test_images", "test", "Test_Images", None])
@pytest.mark.parametrize("preds", [True, False])
def test_layouts_of_a_hackathon_tree(folders: str, test: str | None, preds: bool, tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 1, 1, folders)
    test_images = tmp_path / "test_images"
    if test is None:
        shutil.rmtree(test_images)
    else:
        for part in test_images.rename(tmp_path / "moved").iterdir():
            (tmp_path / test).mkdir(parents=True)
            part.rename(tmp_path / test / part.name)
        (tmp_path / "moved").rmdir()
    if not preds:
        for path in tmp_path.glob("*.json"):
            path.unlink()
    otherwise = {"{}": "folder with REAL/ and FAKE/"}.get(folders, "CIFAKE tree")
    unambiguous = "_images" in folders or test is not None or preds
    assert detect_layout(tmp_path) == ("hackathon tree" if unambiguous else otherwise)


def test_a_hackathon_tree(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 3)
    (tmp_path / "real_cifake_images" / "2.png").unlink()
    for load in (load_train, load_test):
        dataset = load(tmp_path, Preprocess())
        assert (dataset.kind, len(dataset.pictures)) == ("hackathon tree", 5)
        assert dataset.issues == {"missing picture": ["real_cifake_images/2"]}


def test_other_folders_are_an_error(tmp_path: Path) -> None:
    for load in (load_train, load_test):
        with pytest.raises(DataError, match="neither a CIFAKE tree .* nor a hackathon tree"):
            load(tmp_path, Preprocess())
        with pytest.raises(DataError, match="there is no folder"):
            load(tmp_path / "nowhere", Preprocess())


def test_half_a_split_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "REAL").mkdir()
    with pytest.raises(DataError, match="no folder FAKE"):
        load_train(tmp_path, Preprocess())
