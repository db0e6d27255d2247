from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from model.images.preprocess import Preprocess
from tests.pictures import encode, noise
from training.data.labelled_images import (
    DataError,
    LabelledImages,
    deduplicate,
    folds,
    load_split,
    train_val_split,
)


def pictures(seeds: list[int], labels: list[int] | None = None) -> LabelledImages:
    images = np.stack([noise(seed) for seed in seeds])
    given = labels or [i % 2 for i in range(len(seeds))]
    return LabelledImages(images, np.array(given, np.uint8), [f"{seed}.png" for seed in seeds], [])


def write(folder: Path, real: int, fake: int) -> Path:
    for name, count, first in (("REAL", real, 0), ("FAKE", fake, 1000)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i}.png").write_bytes(encode(noise(first + i)))
    return folder


def test_labels_are_folder_names(tmp_path: Path) -> None:
    split = load_split(write(tmp_path, 3, 2), Preprocess())
    assert split.labels.tolist() == [1, 1, 1, 0, 0]
    assert split.names[0] == "REAL/0.png"
    assert (split.images[0] == noise(0)).all()
    assert (split.images[4] == noise(1001)).all()


def test_pictures_are_resized(tmp_path: Path) -> None:
    write(tmp_path, 1, 1)
    (tmp_path / "REAL" / "large.png").write_bytes(encode(noise(7, 100, 60)))
    assert load_split(tmp_path, Preprocess(48)).images.shape == (3, 48, 48, 3)


def test_unreadable_files_are_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, 2, 2)
    (tmp_path / "REAL" / "0.png").write_bytes(encode(noise(0))[:50])
    (tmp_path / "FAKE" / "notes.txt").write_text("not a picture, by its name")
    split = load_split(tmp_path, Preprocess())
    assert split.names == ["REAL/1.png", "FAKE/0.png", "FAKE/1.png"]
    [(name, reason)] = split.unreadable
    assert name == "REAL/0.png"
    assert "cut short" in reason


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder REAL"):
        load_split(tmp_path, Preprocess())


def test_an_empty_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FAKE has no readable picture"):
        load_split(write(tmp_path, 2, 0), Preprocess())


def test_repeats_and_leaks_are_dropped() -> None:
    train, test = pictures([1, 2, 3, 2, 4, 1]), pictures([9, 4, 8, 8])
    found = deduplicate(train, [test])
    # Labels alternate: picture 1 is there with both labels, picture 2 twice with the same.
    assert found.pictures.names == ["2.png", "3.png"]
    assert (found.leaked, found.repeats, found.contradictions) == (1, 1, ["1.png", "1.png"])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1))), st.sets(st.integers(0, 5)))
@settings(deadline=None, derandomize=True)
def test_deduplicated_pictures_are_unique_and_have_one_label(
    rows: list[tuple[int, int]], excluded: set[int]
) -> None:
    """Whatever the order, and whichever label comes first."""

    def of(pairs: list[tuple[int, int]]) -> LabelledImages:
        images = np.array([number for number, _ in pairs], np.uint8).reshape(-1, 1, 1, 1)
        return LabelledImages(
            images, np.array([label for _, label in pairs], np.uint8), [str(p) for p in pairs], []
        )

    found = deduplicate(of(rows), [of([(number, 0)]) for number in excluded])
    labels = {number: {label for other, label in rows if other == number} for number, _ in rows}
    kept = [number for number in labels if number not in excluded and len(labels[number]) == 1]
    assert found.pictures.names == [str((number, min(labels[number]))) for number in kept]
    assert found.leaked == sum(number in excluded for number, _ in rows)
    twice = [pair for pair in rows if pair[0] not in excluded and len(labels[pair[0]]) == 2]
    assert found.contradictions == [str(pair) for pair in twice]
    assert len(rows) == len(kept) + found.leaked + found.repeats + len(twice)


def test_digest_depends_on_pixels_and_labels_only() -> None:
    first = pictures([1, 2], [0, 1])
    assert first.digest() == pictures([2, 1], [1, 0]).digest()
    assert first.digest() != pictures([1, 2], [1, 0]).digest()
    assert first.digest() != pictures([1, 3], [0, 1]).digest()
    assert first.digest(ordered=True) == pictures([1, 2], [0, 1]).digest(ordered=True)
    assert first.digest(ordered=True) != pictures([2, 1], [1, 0]).digest(ordered=True)


def test_train_val_split_is_stratified_disjoint_and_seeded() -> None:
    all_pictures = pictures(list(range(60)), [0] * 40 + [1] * 20)
    train, val = train_val_split(all_pictures, 0.25, seed=3)
    assert np.bincount(val.labels).tolist() == [10, 5]
    assert not set(train.names) & set(val.names)
    assert len(train) + len(val) == 60
    assert train_val_split(all_pictures, 0.25, seed=3)[1].names == val.names
    assert train_val_split(all_pictures, 0.25, seed=4)[1].names != val.names


def test_train_val_split_keeps_one_of_each_class() -> None:
    train, val = train_val_split(pictures(list(range(4)), [0, 0, 1, 1]), 0.01, seed=0)
    assert sorted(train.labels) == sorted(val.labels) == [0, 1]
    with pytest.raises(DataError, match="two different pictures"):
        train_val_split(pictures([1, 2, 3], [0, 0, 1]), 0.5, seed=0)


def test_subsample_is_stratified() -> None:
    all_pictures = pictures(list(range(60)), [1] * 40 + [0] * 20)
    sample = all_pictures.subsample(12)
    assert np.bincount(sample.labels).tolist() == [4, 8]
    assert len(set(sample.names)) == 12
    assert all_pictures.subsample(60) is all_pictures


def test_folds_are_stratified_disjoint_and_have_every_picture_once() -> None:
    all_pictures = pictures(list(range(30)), [0] * 20 + [1] * 10)
    names = []
    for rest, index in folds(all_pictures, 5, seed=1):
        fold = all_pictures.select(index)
        assert np.bincount(fold.labels).tolist() == [4, 2]
        assert not set(rest.names) & set(fold.names)
        assert len(rest) == 24
        names += fold.names
    assert sorted(names) == sorted(all_pictures.names)
    with pytest.raises(DataError, match="11 folds need 11"):
        next(folds(all_pictures, 11, seed=1))
