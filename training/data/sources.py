"""Where labelled pictures come from: a CIFAKE tree, one of its splits, or a hackathon tree."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from model.images.preprocess import Preprocess
from training.data import hackathon
from training.data.labelled_images import LABELS, DataError, LabelledImages, read_split, subfolder

Kind = Literal["CIFAKE tree", "folder with REAL/ and FAKE/", "hackathon tree"]


@dataclass(frozen=True)
class Source:
    """What was read.

    kind: what the folder was taken for.
    pictures: the labelled pictures, by the words of the data itself.
    elsewhere: pictures that must not be trained on.
    findings: faults of a hackathon tree.
    """

    kind: Kind
    pictures: LabelledImages
    elsewhere: list[LabelledImages] = field(default_factory=list)
    findings: hackathon.Findings = field(default_factory=dict)


def read_training(root: Path, preprocess: Preprocess, target: hackathon.Target = "folder") -> Source:
    """What can be trained on: a CIFAKE tree's train/, a folder with REAL/ and FAKE/, or a hackathon tree.

    Raises DataError.
    """
    kind = kind_of(root)
    if kind != "hackathon tree" and target != "folder":
        raise DataError(f"{root} is a {kind}: there is no detector's word in it, only its folders")
    if kind == "CIFAKE tree":
        train, test = _split(root, "train"), subfolder(root, "test")
        return Source(kind, read_split(train, preprocess), [read_split(test, preprocess)] if test else [])
    return _labelled(root, kind, preprocess, target)


def read_test(root: Path, preprocess: Preprocess) -> Source:
    """What a model can be judged on: a CIFAKE tree's test/, a folder with REAL/ and FAKE/, or a
    hackathon tree's labelled pictures. Raises DataError."""
    kind = kind_of(root)
    if kind == "CIFAKE tree":
        return Source(kind, read_split(_split(root, "test"), preprocess))
    return _labelled(root, kind, preprocess, "folder")


def kind_of(root: Path) -> Kind:
    """What a folder is, by the folders in it; case does not matter in their names. Raises DataError.

    A tree with real/ and fake/ in test/ is a CIFAKE tree: a hackathon tree's test pictures have no labels.
    One that has them in train/ alone is a hackathon tree if it has test pictures or a detector's words.
    """
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    if _is_split(subfolder(root, "test")):
        return "CIFAKE tree"
    tree = hackathon.find(root)
    if tree is not None and tree.certain:
        return "hackathon tree"
    if _is_split(root):
        return "folder with REAL/ and FAKE/"
    if _is_split(subfolder(root, "train")):
        return "CIFAKE tree"
    raise DataError(
        f"{root} is neither a CIFAKE tree (train/ and test/ with REAL/, FAKE/) nor a hackathon tree "
        "(real_cifake_images/, fake_cifake_images/, or train/real/, train/fake/ and test_images/)"
    )


def _labelled(root: Path, kind: Kind, preprocess: Preprocess, target: hackathon.Target) -> Source:
    """A hackathon tree, or a folder with REAL/ and FAKE/."""
    tree = hackathon.find(root)
    if kind != "hackathon tree" or tree is None:
        return Source(kind, read_split(root, preprocess))
    pictures, findings = hackathon.read(tree, preprocess, target)
    return Source(kind, pictures, findings=findings)


def _split(root: Path, name: str) -> Path:
    """The split of a CIFAKE tree. Raises DataError where it is not there."""
    folder = subfolder(root, name)
    if folder is None:
        raise DataError(f"{root} is a CIFAKE tree without {name}/")
    return folder


def _is_split(folder: Path | None) -> bool:
    """Whether REAL/ or FAKE/ is there; a split that lacks the other is told by its reader."""
    return folder is not None and any(subfolder(folder, name) for name in LABELS)
