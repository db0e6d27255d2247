"""Labelled pictures in memory, and how they are shared out."""

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.model_selection import StratifiedKFold

from model.images.decode import ImageError, decode
from model.images.preprocess import Preprocess

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff"}
LABELS = {"REAL": 1, "FAKE": 0}


class DataError(Exception):
    """The folder cannot be trained on or evaluated; the message says why."""


@dataclass(frozen=True)
class LabelledImages:
    """Pictures with their labels.

    images: uint8 of shape (N, size, size, 3), RGB.
    labels: uint8 of shape (N,), 1 = REAL, 0 = FAKE by the words of the data itself.
    names: paths relative to the folder they were read from.
    unreadable: (name, reason) of the files that were left out.
    soft: float32 of shape (N,) in [0, 1], what is trained towards instead of the labels, if anything.
    """

    images: np.ndarray
    labels: np.ndarray
    names: list[str]
    unreadable: list[tuple[str, str]]
    soft: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def targets(self) -> np.ndarray:
        """What is trained towards, float32 of shape (N,) in [0, 1]."""
        return self.labels.astype(np.float32) if self.soft is None else self.soft

    def select(self, index: np.ndarray) -> "LabelledImages":
        """Those at `index`, in that order."""
        names = [self.names[i] for i in index]
        soft = None if self.soft is None else self.soft[index]
        return LabelledImages(self.images[index], self.labels[index], names, [], soft)

    def subsample(self, count: int) -> "LabelledImages":
        """At most `count` of them, evenly spaced: of pictures that stand class by class, each one's share."""
        if len(self) <= count:
            return self
        return self.select(np.linspace(0, len(self) - 1, count).astype(int))

    def pixel_digests(self) -> list[bytes]:
        """One digest a picture: equal for pictures that are equal pixel by pixel."""
        return [hashlib.blake2b(image.tobytes(), digest_size=16).digest() for image in self.images]

    def digest(self, ordered: bool = False) -> str:
        """SHA-256 over all pixels, labels and soft targets; it does not depend on file names.

        ordered: it depends on the pictures' order.
        """
        soft = [b""] * len(self) if self.soft is None else [target.tobytes() for target in self.soft]
        rows = zip(self.pixel_digests(), self.labels, soft, strict=True)
        parts = [digest + bytes([label]) + target for digest, label, target in rows]
        return hashlib.sha256(b"".join(parts if ordered else sorted(parts))).hexdigest()


def subfolder(folder: Path, name: str) -> Path | None:
    """The folder `name` in `folder`, in capitals or not; None where there is none.

    Raises DataError where there are several, which differ in case only.
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


def read_split(folder: Path, preprocess: Preprocess) -> LabelledImages:
    """The pictures in `folder/REAL` and `folder/FAKE`, in capitals or not, brought to the network's size.

    Files that cannot be read are left out and named. Raises DataError where a class is empty.
    """
    files: list[Path] = []
    labels: list[int] = []
    for name, label in LABELS.items():
        of_class = subfolder(folder, name)
        if of_class is None:
            raise DataError(f"{folder} has no folder {name}: a split holds REAL/ and FAKE/")
        found = picture_files(of_class)
        files += found
        labels += [label] * len(found)
    pictures = read_pictures(files, labels, folder, preprocess)
    for name, label in LABELS.items():
        if not (pictures.labels == label).any():
            raise DataError(f"{subfolder(folder, name)} holds no picture that can be read")
    return pictures


def picture_files(folder: Path) -> list[Path]:
    """The files in `folder` that are pictures by their names' endings, sorted."""
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)


def read_pictures(
    files: list[Path], labels: list[int], folder: Path, preprocess: Preprocess
) -> LabelledImages:
    """The files with their labels, brought to the network's size; names are relative to `folder`."""
    images, kept, unreadable = read_images(files, folder, preprocess)
    names = [str(files[i].relative_to(folder)) for i in kept]
    return LabelledImages(images, np.array(labels, np.uint8)[kept], names, unreadable)


def read_images(
    files: list[Path], folder: Path, preprocess: Preprocess
) -> tuple[np.ndarray, list[int], list[tuple[str, str]]]:
    """The pictures in `files` that can be read, uint8 of shape (N, size, size, 3), and which those are.

    Returns their indices too, and (name relative to `folder`, reason) of the others.
    """
    images = np.empty((len(files), preprocess.size, preprocess.size, 3), np.uint8)
    kept: list[int] = []
    unreadable: list[tuple[str, str]] = []
    for i, path in enumerate(files):
        try:
            images[len(kept)] = decode(path.read_bytes(), shrink=preprocess.resize).pixels
        except (ImageError, OSError) as error:
            unreadable.append((str(path.relative_to(folder)), str(error)))
        else:
            kept.append(i)
    return images[: len(kept)], kept, unreadable


class Deduplicated(NamedTuple):
    """pictures: those that are left. Dropped were

    leaked: the number of those that stand elsewhere; repeats: the number of those that stand, with the same
    label, earlier in the data; contradictions: the names of those that stand in it under both labels.
    """

    pictures: LabelledImages
    leaked: int
    repeats: int
    contradictions: list[str]


def deduplicate(train: LabelledImages, elsewhere: Iterable[LabelledImages] = ()) -> Deduplicated:
    """Each picture of train once, pixel for pixel, without those that stand in `elsewhere`.

    One that stands in train under both labels is dropped under both: nothing says which of them is right.
    """
    outside = {digest for pictures in elsewhere for digest in pictures.pixel_digests()}
    places: dict[bytes, list[int]] = defaultdict(list)
    for i, digest in enumerate(train.pixel_digests()):
        places[digest].append(i)
    kept: list[int] = []
    contradictory: list[int] = []
    leaked = 0
    for digest, found in places.items():
        if digest in outside:
            leaked += len(found)
        elif len(np.unique(train.labels[found])) > 1:
            contradictory += found
        else:
            kept.append(found[0])
    names = [train.names[i] for i in sorted(contradictory)]
    repeats = len(train) - leaked - len(kept) - len(contradictory)
    return Deduplicated(train.select(np.array(kept, int)), leaked, repeats, names)


def train_val_split(
    pictures: LabelledImages, share: float, seed: int
) -> tuple[LabelledImages, LabelledImages]:
    """(the rest, a random `share` of each class), drawn by `seed`; both keep at least one of each class."""
    random = np.random.default_rng(seed)
    held = np.zeros(len(pictures), bool)
    for label in LABELS.values():
        of_class = np.flatnonzero(pictures.labels == label)
        if len(of_class) < 2:
            raise DataError("a class needs two different pictures: one to train on, one to validate with")
        count = min(max(1, round(share * len(of_class))), len(of_class) - 1)
        held[random.choice(of_class, count, replace=False)] = True
    return pictures.select(np.flatnonzero(~held)), pictures.select(np.flatnonzero(held))


def folds(pictures: LabelledImages, count: int, seed: int) -> Iterator[tuple[LabelledImages, np.ndarray]]:
    """(the rest, index of the pictures held out) for each of `count` parts of equal shares of each class."""
    if np.bincount(pictures.labels, minlength=2).min() < count:
        raise DataError(f"{count} folds need {count} different pictures of each class")
    splits = StratifiedKFold(count, shuffle=True, random_state=seed)
    for rest, held in splits.split(pictures.labels, pictures.labels):
        yield pictures.select(rest), held
