import json
from pathlib import Path

import numpy as np
import pytest

from model.images.preprocess import Preprocess
from tests.pictures import encode, noise
from tests.trees import hackathon_tree
from training.data import hackathon
from training.data.labelled_images import DataError


def rewrite(path: Path, predictions: object) -> None:
    path.write_text(json.dumps(predictions))


@pytest.mark.parametrize(
    "folders", ["{}_cifake_images", "train/{}_cifake_images", "train/{}", "{}"], ids=lambda f: f or "root"
)
def test_layouts(folders: str, tmp_path: Path) -> None:
    tree = hackathon.get_tree(hackathon_tree(tmp_path, 3, folders=folders))
    assert tree.folders["real"] == tmp_path / folders.format("real")
    assert tree.detector_files["fake"] == tmp_path / "fake_cifake_preds.json"
    assert tree.test == tmp_path / "test_images"
    pictures, issues = hackathon.load(tree, Preprocess())
    assert pictures.labels.tolist() == [1, 1, 1, 0, 0, 0]
    assert issues == {}


def test_json_beside_the_folders_and_test_images_in_test(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 2, folders="train/{}_cifake_images")
    for class_name in ("real", "fake"):
        name = f"{class_name}_cifake_preds.json"
        (tmp_path / name).rename(tmp_path / "train" / name)
    (tmp_path / "test").mkdir()
    (tmp_path / "test_images").rename(tmp_path / "test" / "test_images")
    tree = hackathon.get_tree(tmp_path)
    assert set(tree.detector_files) == {"real", "fake"}
    assert tree.test == tmp_path / "test" / "test_images"


@pytest.mark.parametrize("folder", ["train/REAL", "real_cifake_images", "elsewhere"])
def test_other_folders_are_no_tree(folder: str, tmp_path: Path) -> None:
    (tmp_path / folder).mkdir(parents=True)
    assert hackathon.find(tmp_path) is None


def test_meta_has_the_published_rows(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 12)
    rewrite(
        tmp_path / "fake_cifake_preds.json", [{"index": i, "prediction": "real"} for i in range(12, 0, -1)]
    )
    examples, issues = hackathon.list_examples(hackathon.get_tree(tmp_path))
    rows = hackathon.meta_rows(examples)
    assert issues == {}
    assert rows[9] == {"index": 10, "label": 1, "prediction": "real"}
    assert rows[12] == {"index": 1, "label": 0, "prediction": "real"}
    assert len(rows) == 24


def test_issues_are_listed_and_the_other_pictures_are_loaded(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 8)
    real = tmp_path / "real_cifake_images"
    (real / "2.png").unlink()
    (real / "cat.png").write_bytes(encode(noise(77)))
    (real / "3.jpg").write_bytes(encode(noise(78), "JPEG"))
    (real / "8.png").write_bytes(encode(noise(8))[:60])
    predictions: list[object] = [{"index": i, "prediction": "real"} for i in (1, 2, 3, 5, 8)]
    predictions += [{"index": 6, "prediction": "maybe"}, {"index": 1, "prediction": "fake"}]
    predictions += [{"index": "7", "prediction": "real"}, "four"]
    rewrite(tmp_path / "real_cifake_preds.json", predictions)
    pictures, issues = hackathon.load(hackathon.get_tree(tmp_path), Preprocess())
    assert issues.pop("unreadable picture")[0].startswith("real_cifake_images/8.png (")
    assert issues == {
        "missing picture": ["real_cifake_images/2"],
        "missing index": ["real_cifake_images/4.png", "real_cifake_images/7.png"],
        "duplicate index": ["real_cifake_preds.json 1", "real_cifake_images/3.png"],
        "unknown label": ["real_cifake_preds.json 6: 'maybe'"],
        "entry without an index": ["real_cifake_preds.json[7]", "real_cifake_preds.json[8]"],
        "file name without a number": ["real_cifake_images/cat.png"],
    }
    assert np.bincount(pictures.labels).tolist() == [8, 7]  # real: 1, 3, 4, 5, 6, 7 and cat.png, without 8
    assert "missing index: 2: real_cifake_images/4.png" in hackathon.describe(issues)


@pytest.mark.parametrize("text", ["", "{", '{"index": 1}', "\x00"])
def test_unreadable_json_does_not_stop_training_on_folders(text: str, tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 3)
    (tmp_path / "real_cifake_preds.json").write_text(text)
    pictures, issues = hackathon.load(hackathon.get_tree(tmp_path), Preprocess())
    assert len(pictures) == 6
    assert issues["unreadable JSON"][0].startswith("real_cifake_preds.json (")
    assert len(issues["missing index"]) == 3


def test_missing_json_is_named(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 3)
    (tmp_path / "real_cifake_preds.json").unlink()
    pictures, issues = hackathon.load(hackathon.get_tree(tmp_path), Preprocess())
    assert len(pictures) == 6
    assert issues == {"missing JSON": ["*real*_preds.json"]}


def test_targets(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 4)
    predictions = [{"index": i, "prediction": "fake" if i == 1 else "real"} for i in (1, 2, 3)]
    rewrite(tmp_path / "real_cifake_preds.json", predictions)
    tree = hackathon.get_tree(tmp_path)
    by_folder, _ = hackathon.load(tree, Preprocess(), "folder")
    assert by_folder.labels.tolist() == by_folder.targets.tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    by_detector, _ = hackathon.load(tree, Preprocess(), "detector")  # without 4.png
    assert by_detector.labels.tolist() == [0, 1, 1, 0, 0, 0, 0]
    mixture, _ = hackathon.load(tree, Preprocess(), "mixture")
    assert mixture.labels.tolist() == by_folder.labels.tolist()
    assert mixture.targets.tolist() == [0.5, 1, 1, 1, 0, 0, 0, 0]
    assert mixture.select(np.array([0, 7])).targets.tolist() == [0.5, 0]
    assert mixture.digest() != by_folder.digest()
    with pytest.raises(DataError, match="unknown target 'coin'"):
        hackathon.load(tree, Preprocess(), "coin")  # type: ignore[arg-type]


def test_an_empty_class_is_an_error(tmp_path: Path) -> None:
    hackathon_tree(tmp_path, 2)
    for path in (tmp_path / "fake_cifake_images").iterdir():
        path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="no readable picture that the folder labels fake"):
        hackathon.load(hackathon.get_tree(tmp_path), Preprocess())
    hackathon_tree(tmp_path / "other", 2)
    rewrite(tmp_path / "other" / "fake_cifake_preds.json", [])
    with pytest.raises(DataError, match="no readable picture that the detector labels fake"):
        hackathon.load(hackathon.get_tree(tmp_path / "other"), Preprocess(), "detector")


def test_long_lists_are_truncated() -> None:
    text = hackathon.describe({"missing index": [str(i) for i in range(13)]})
    assert text == "missing index: 13: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 3 more"


def test_the_hackathons_own_data(data: Path) -> None:
    tree = hackathon.get_tree(data / "hackathon")
    examples, issues = hackathon.list_examples(tree)
    assert issues == {}
    differ = [example.class_name for example in examples if example.detector_label != example.class_name]
    assert (len(examples), differ.count("real"), differ.count("fake")) == (2000, 24, 12)
