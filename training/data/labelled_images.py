"""Labelled pictures in memory: loading, deduplication and splits."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from model.images.decode import decode
from model.images.errors import ImageError
from model.images.preprocess import Preprocess
from training.data.errors import DataError as DataError
from training.data.files import SUFFIXES, read_bytes
from training.progress import track

LABELS = {"REAL": 1, "FAKE": 0}


@dataclass(frozen=True)
class LabelledImages:
    """Pictures with their labels.

    images: uint8 of shape (N, size, size, 3), RGB.
    labels: uint8 of shape (N,), 1 = REAL, 0 = FAKE as in the data, where the two may be swapped.
    names: paths relative to the folder they were read from.
    unreadable: (name, reason) of the files that could not be decoded.
    soft_labels: training targets in place of the labels, float32 of shape (N,) in [0, 1], or None.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    unreadable: list[tuple[str, str]]
    soft_labels: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def targets(self) -> np.ndarray:
        """Training targets: the soft labels or else the labels, float32 of shape (N,) in [0, 1]."""
        return self.labels.astype(np.float32) if self.soft_labels is None else self.soft_labels

    def select(self, index: np.ndarray) -> "LabelledImages":
        """The pictures at `index`, in that order."""
        names = [self.names[i] for i in index]
        soft_labels = None if self.soft_labels is None else self.soft_labels[index]
        return LabelledImages(self.images[index], self.labels[index], names, [], soft_labels)

    def subsample(self, count: int) -> "LabelledImages":
        """At most `count` pictures, evenly spaced: stratified, if the pictures are sorted by class."""
        if len(self) <= count:
            return self
        return self.select(np.linspace(0, len(self) - 1, count).astype(int))

    def pixel_digests(self) -> list[bytes]:
        """A digest of each picture's pixels (BLAKE2b, 16 bytes)."""
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.images]

    def digest(self, ordered: bool = False) -> str:
        """SHA-256 of all pixels, labels and soft labels, in hexadecimal; file names do not matter.

        ordered: whether the order of the pictures matters.
        """
        soft = [b""] * len(self) if self.soft_labels is None else [one.tobytes() for one in self.soft_labels]
        rows = zip(self.pixel_digests(), self.labels, soft, strict=True)
        parts = [digest + bytes([label]) + soft_label for digest, label, soft_label in rows]
        return hashlib.sha256(b"".join(parts if ordered else sorted(parts))).hexdigest()


def subfolder(folder: Path, name: str) -> Path | None:
    """The folder `name` in `folder`, case-insensitive; None if there is none.

    Raises DataError if there are several, which differ in case only.
    """
    if not folder.is_dir():
        return None
    found = sorted(
        path for path in folder.iterdir() if path.name.casefold() == name.casefold() and path.is_dir()
    )
    if len(found) > 1:
        names = " and ".join(f"{path.name}/" for path in found)
        raise DataError(f"{folder} holds {names}, which differ in case only: keep one of them")
    return found[0] if found else None


def load_split(folder: Path, preprocess: Preprocess) -> LabelledImages:
    """The pictures in `folder/REAL` and `folder/FAKE`, case-insensitive, resized to the network's size.

    Files that cannot be decoded go to `unreadable`. Raises DataError if a class is empty.
    """
    files: list[Path] = []
    labels: list[int] = []
    for name, label in LABELS.items():
        class_folder = subfolder(folder, name)
        if class_folder is None:
            raise DataError(f"{folder} has no folder {name}: a split has REAL/ and FAKE/")
        class_files = picture_files(class_folder)
        files += class_files
        labels += [label] * len(class_files)
    pictures = load_labelled_images(files, labels, folder, preprocess)
    for name, label in LABELS.items():
        if not (pictures.labels == label).any():
            raise DataError(f"{subfolder(folder, name)} has no readable picture")
    return pictures


def picture_files(folder: Path) -> list[Path]:
    """The files in `folder` with a file name extension of a picture, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def load_labelled_images(
    files: list[Path], labels: list[int], folder: Path, preprocess: Preprocess
) -> LabelledImages:
    """The files and their labels, resized to the network's size; names are relative to `folder`."""
    images, kept, unreadable = load_images(files, folder, preprocess)
    names = [str(files[i].relative_to(folder)) for i in kept]
    return LabelledImages(images, np.array(labels, np.uint8)[kept], names, unreadable)


def load_images(
    files: list[Path], folder: Path, preprocess: Preprocess
) -> tuple[np.ndarray, list[int], list[tuple[str, str]]]:
    """(pictures, uint8 of shape (N, size, size, 3); indices of their files; unreadable files).

    Unreadable files are (name relative to `folder`, reason).
    """
    images = np.empty((len(files), preprocess.size, preprocess.size, 3), np.uint8)
    kept: list[int] = []
    unreadable: list[tuple[str, str]] = []
    for i, path in enumerate(track(files, f"reading {folder}")):
        try:
            image = decode(read_bytes(path), transform=preprocess.resize, min_side=preprocess.min_side)
            images[len(kept)] = image.pixels
        except (ImageError, OSError) as error:
            unreadable.append((str(path.relative_to(folder)), str(error)))
        else:
            kept.append(i)
    return images[: len(kept)], kept, unreadable


class Deduplicated(NamedTuple):
    """pictures: those that are left.

    leaked: how many were dropped because they are in an excluded set, too.
    repeats: how many were dropped because they are in the data before, with the same label.
    contradictions: names of those dropped because they are in the data with both labels.
    """

    pictures: LabelledImages
    leaked: int
    repeats: int
    contradictions: list[str]


def deduplicate(train: LabelledImages, excluded: Iterable[LabelledImages] = ()) -> Deduplicated:
    """Each picture of train once, without those that are in `excluded`; equal means equal pixels.

    Pictures that have both labels are dropped with both, because it is unknown which is right.
    """
    excluded_digests = {digest for pictures in excluded for digest in pictures.pixel_digests()}
    positions: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(train.pixel_digests()):
        positions[digest].append(i)
    kept: list[int] = []
    contradictory: list[int] = []
    leaked = 0
    for digest, equal in positions.items():
        if digest in excluded_digests:
            leaked += len(equal)
        elif len(np.unique(train.labels[equal])) > 1:
            contradictory += equal
        else:
            kept.append(equal[0])
    names = [train.names[i] for i in sorted(contradictory)]
    repeats = len(train) - leaked - len(kept) - len(contradictory)
    return Deduplicated(train.select(np.array(kept, int)), leaked, repeats, names)


def train_val_split(
    pictures: LabelledImages, fraction: float, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """(train, validation): a random `fraction` in [0, 1] of each class is for validation.

    Both have at least one picture of each class; raises DataError if a class has fewer than two.
    """
    random = np.random.default_rng(seed)
    is_val = np.zeros(len(pictures), bool)
    for label in LABELS.values():
        index = np.flatnonzero(pictures.labels == label)
        if len(index) < 2:
            raise DataError("a class needs two different pictures: one to train on, one to validate with")
        count = min(max(1, round(fraction * len(index))), len(index) - 1)
        is_val[random.choice(index, count, replace=False)] = True
    return pictures.select(np.flatnonzero(~is_val)), pictures.select(np.flatnonzero(is_val))


def folds(pictures: LabelledImages, count: int, seed: int) -> Iterator[tuple[LabelledImages, np.ndarray]]:
    """(pictures of the other folds, index of this fold's pictures) for each of `count` stratified folds.

    Raises DataError if a class has fewer than `count` pictures.
    """
    from sklearn.model_selection import StratifiedKFold  # its import takes a second

    if np.bincount(pictures.labels, minlength=2).min() < count:
        raise DataError(f"{count} folds need {count} different pictures of each class")
    splits = StratifiedKFold(count, shuffle=True, random_state=seed)
    for rest, fold in splits.split(pictures.labels, pictures.labels):
        yield pictures.select(rest), fold
