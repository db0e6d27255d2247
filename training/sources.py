"""Where labelled pictures come from: a CIFAKE tree, one of its splits, or a hackathon tree."""

from dataclasses import dataclass, field
from pathlib import Path

from model.preprocess import Preprocess
from training import hackathon
from training.data import LABELS, DataError, Pictures, read_split


@dataclass(frozen=True)
class Source:
    """What was read.

    kind: what the folder was taken for.
    pictures: the labelled pictures, by the words of the data itself.
    elsewhere: pictures that must not be trained on.
    findings: faults of a hackathon tree.
    """

    kind: str
    pictures: Pictures
    elsewhere: list[Pictures] = field(default_factory=list)
    findings: hackathon.Findings = field(default_factory=dict)


def read_training(root: Path, preprocess: Preprocess, target: hackathon.Target = "folder") -> Source:
    """What can be trained on: a CIFAKE tree's train/, or a hackathon tree. Raises DataError."""
    if _is_split(root / "train"):
        if target != "folder":
            raise DataError(f"{root} is a CIFAKE tree: there is no detector's word in it, only its folders")
        elsewhere = [read_split(root / "test", preprocess)] if (root / "test").is_dir() else []
        return Source("CIFAKE tree", read_split(root / "train", preprocess), elsewhere)
    return _hackathon_or_split(root, preprocess, target)


def read_test(root: Path, preprocess: Preprocess) -> Source:
    """What a model can be judged on: a CIFAKE tree's test/, a folder with REAL/ and FAKE/, or a
    hackathon tree's labelled pictures. Raises DataError."""
    if _is_split(root / "test"):
        return Source("CIFAKE tree", read_split(root / "test", preprocess))
    return _hackathon_or_split(root, preprocess, "folder")


def _hackathon_or_split(root: Path, preprocess: Preprocess, target: hackathon.Target) -> Source:
    if not root.is_dir():
        raise DataError(f"there is no folder {root}")
    if _is_split(root):
        return Source("folder with REAL/ and FAKE/", read_split(root, preprocess))
    tree = hackathon.find(root)
    if tree is None:
        raise DataError(
            f"{root} is neither a CIFAKE tree (train/ and test/ with REAL/, FAKE/) nor a hackathon tree "
            "(real_cifake_images/, fake_cifake_images/, or train/real/, train/fake/)"
        )
    pictures, findings = hackathon.read(tree, preprocess, target)
    return Source("hackathon tree", pictures, findings=findings)


def _is_split(folder: Path) -> bool:
    """Whether REAL/ or FAKE/, in capitals, is there; a split that lacks the other is told by its reader."""
    return folder.is_dir() and bool({path.name for path in folder.iterdir()} & set(LABELS))
