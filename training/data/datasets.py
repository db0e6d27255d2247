"""Data sets on disk: a CIFAKE tree, one of its splits, or a hackathon tree."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.images.preprocess import Preprocess
from training.data import hackathon
from training.data.labelled_images import LABELS, DataError, LabelledImages, load_split, subfolder

Layout = Literal["CIFAKE tree", "folder with REAL/ and FAKE/", "hackathon tree"]


@dataclass(frozen=True)
class Dataset:
    """A data set that was loaded.

    kind: the layout that was detected.
    pictures: the pictures, with labels as they are in the data.
    excluded: the test split of a CIFAKE tree, whose pictures must not be trained on.
    issues: what is missing, duplicate or unreadable in a hackathon tree.
    """

    kind: Layout
    pictures: LabelledImages
    excluded: list[LabelledImages] = field(default_factory=list)
    issues: hackathon.DataIssues = field(default_factory=dict)


def load_train(root: Path, preprocess: Preprocess, target: hackathon.Target = "folder") -> Dataset:
    """Training data: a CIFAKE tree's train/, a folder with REAL/ and FAKE/, or a hackathon tree.

    target: which labels of a hackathon tree, see `hackathon.load`. Raises DataError.
    """
    layout = detect_layout(root)
    if layout != "hackathon tree" and target != "folder":
        raise DataError(f"{root} is a {layout}, which has no labels by a detector: --target must be folder")
    if layout == "CIFAKE tree":
        train, test = _split_folder(root, "train"), subfolder(root, "test")
        excluded = [load_split(test, preprocess)] if test else []
        return Dataset(layout, load_split(train, preprocess), excluded)
    return _load_all(root, layout, preprocess, target)


def load_test(root: Path, preprocess: Preprocess) -> Dataset:
    """Evaluation data: a CIFAKE tree's test/, a folder with REAL/ and FAKE/, or a hackathon tree's
    labelled pictures. Raises DataError."""
    layout = detect_layout(root)
    if layout == "CIFAKE tree":
        return Dataset(layout, load_split(_split_folder(root, "test"), preprocess))
    return _load_all(root, layout, preprocess, "folder")


def detect_layout(root: Path) -> Layout:
    """The layout of a folder by the folders in it, case-insensitive. Raises DataError.

    A tree with real/ and fake/ in test/ is a CIFAKE tree: a hackathon tree's test pictures have no labels.
    One that has them in train/ only is a hackathon tree if it has test pictures or a detector's JSON files.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    if _is_split(subfolder(root, "test")):
        return "CIFAKE tree"
    tree = hackathon.find(root)
    if tree is not None and tree.is_unambiguous:
        return "hackathon tree"
    if _is_split(root):
        return "folder with REAL/ and FAKE/"
    if _is_split(subfolder(root, "train")):
        return "CIFAKE tree"
    raise DataError(
        f"{root} is neither a CIFAKE tree (train/ and test/ with REAL/, FAKE/) nor a hackathon tree "
        "(real_cifake_images/, fake_cifake_images/, or train/real/, train/fake/ and test_images/)"
    )


def _load_all(root: Path, layout: Layout, preprocess: Preprocess, target: hackathon.Target) -> Dataset:
    """A hackathon tree, or a folder with REAL/ and FAKE/."""
    tree = hackathon.find(root)
    if layout != "hackathon tree" or tree is None:
        return Dataset(layout, load_split(root, preprocess))
    pictures, issues = hackathon.load(tree, preprocess, target)
    return Dataset(layout, pictures, issues=issues)


def _split_folder(root: Path, name: str) -> Path:
    """The folder of a CIFAKE tree's split. Raises DataError if it is missing."""
    folder = subfolder(root, name)
    if folder is None:
        raise DataError(f"{root} is a CIFAKE tree without {name}/")
    return folder


def _is_split(folder: Path | None) -> bool:
    """Whether the folder has REAL/ or FAKE/; `load_split` reports if the other is missing."""
    return folder is not None and any(subfolder(folder, name) for name in LABELS)
