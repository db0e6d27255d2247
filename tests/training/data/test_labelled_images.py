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
    read_split,
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


def test_reads_labels_from_folders(tmp_path: Path) -> None:
    split = read_split(write(tmp_path, 3, 2), Preprocess())
    assert split.labels.tolist() == [1, 1, 1, 0, 0]
    assert split.names[0] == "REAL/0.png"
    assert (split.images[0] == noise(0)).all()
    assert (split.images[4] == noise(1001)).all()


def test_other_sizes_are_brought_to_the_networks(tmp_path: Path) -> None:
    write(tmp_path, 1, 1)
    (tmp_path / "REAL" / "large.png").write_bytes(encode(noise(7, 100, 60)))
    assert read_split(tmp_path, Preprocess(48)).images.shape == (3, 48, 48, 3)


def test_unreadable_files_are_named_and_left_out(tmp_path: Path) -> None:
    write(tmp_path, 2, 2)
    (tmp_path / "REAL" / "0.png").write_bytes(encode(noise(0))[:50])
    (tmp_path / "FAKE" / "notes.txt").write_text("not a picture, by its name")
    split = read_split(tmp_path, Preprocess())
    assert split.names == ["REAL/1.png", "FAKE/0.png", "FAKE/1.png"]
    [(name, reason)] = split.unreadable
    assert name == "REAL/0.png"
    assert "cut short" in reason


def test_a_missing_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no folder REAL"):
        read_split(tmp_path, Preprocess())


def test_an_empty_class_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="FAKE holds no picture"):
        read_split(write(tmp_path, 2, 0), Preprocess())


def test_repeats_and_leaks_are_dropped() -> None:
    train, test = pictures([1, 2, 3, 2, 4, 1]), pictures([9, 4, 8, 8])
    found = deduplicate(train, [test])
    # Labels go by turns: 1 stands twice under other labels, 2 twice under the same.
    assert found.pictures.names == ["2.png", "3.png"]
    assert (found.leaked, found.repeats, found.contradictions) == (1, 1, ["1.png", "1.png"])


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 1))), st.sets(st.integers(0, 5)))
@settings(deadline=None, derandomize=True)
def test_what_is_left_is_each_picture_once_under_its_one_label(
    rows: list[tuple[int, int]], outside: set[int]
) -> None:
    """Whatever the order, and whichever label comes first."""

    def of(pairs: list[tuple[int, int]]) -> LabelledImages:
        images = np.array([number for number, _ in pairs], np.uint8).reshape(-1, 1, 1, 1)
        return LabelledImages(
            images, np.array([label for _, label in pairs], np.uint8), [str(p) for p in pairs], []
        )

    found = deduplicate(of(rows), [of([(number, 0)]) for number in outside])
    labels = {number: {label for other, label in rows if other == number} for number, _ in rows}
    kept = [number for number in labels if number not in outside and len(labels[number]) == 1]
    assert found.pictures.names == [str((number, min(labels[number]))) for number in kept]
    assert found.leaked == sum(number in outside for number, _ in rows)
    twice = [pair for pair in rows if pair[0] not in outside and len(labels[pair[0]]) == 2]
    assert found.contradictions == [str(pair) for pair in twice]
    assert len(rows) == len(kept) + found.leaked + found.repeats + len(twice)


def test_digest_depends_on_pixels_and_labels_only() -> None:
    first = pictures([1, 2], [0, 1])
    assert first.digest() == pictures([2, 1], [1, 0]).digest()
    assert first.digest() != pictures([1, 2], [1, 0]).digest()
    assert first.digest() != pictures([1, 3], [0, 1]).digest()
    assert first.digest(ordered=True) == pictures([1, 2], [0, 1]).digest(ordered=True)
    assert first.digest(ordered=True) != pictures([2, 1], [1, 0]).digest(ordered=True)


def test_hold_out_is_stratified_disjoint_and_seeded() -> None:
    everything = pictures(list(range(60)), [0] * 40 + [1] * 20)
    rest, held = train_val_split(everything, 0.25, seed=3)
    assert np.bincount(held.labels).tolist() == [10, 5]
    assert not set(rest.names) & set(held.names)
    assert len(rest) + len(held) == 60
    assert train_val_split(everything, 0.25, seed=3)[1].names == held.names
    assert train_val_split(everything, 0.25, seed=4)[1].names != held.names


def test_hold_out_keeps_one_of_each_class() -> None:
    rest, held = train_val_split(pictures(list(range(4)), [0, 0, 1, 1]), 0.01, seed=0)
    assert sorted(rest.labels) == sorted(held.labels) == [0, 1]
    with pytest.raises(DataError, match="two different pictures"):
        train_val_split(pictures([1, 2, 3], [0, 0, 1]), 0.5, seed=0)


def test_a_sample_has_each_classs_share() -> None:
    everything = pictures(list(range(60)), [1] * 40 + [0] * 20)
    sample = everything.subsample(12)
    assert np.bincount(sample.labels).tolist() == [4, 8]
    assert len(set(sample.names)) == 12
    assert everything.subsample(60) is everything


def test_folds_are_stratified_disjoint_and_hold_every_picture_once() -> None:
    everything = pictures(list(range(30)), [0] * 20 + [1] * 10)
    held_out = []
    for rest, held in folds(everything, 5, seed=1):
        part = everything.select(held)
        assert np.bincount(part.labels).tolist() == [4, 2]
        assert not set(rest.names) & set(part.names)
        assert len(rest) == 24
        held_out += part.names
    assert sorted(held_out) == sorted(everything.names)
    with pytest.raises(DataError, match="11 folds need 11"):
        next(folds(everything, 11, seed=1))
