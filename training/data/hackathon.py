"""The hackathon's data: two folders of pictures, and JSON files with a detector's label of each picture.

Labels are kept as they are in the data, even if wrong; `training.evaluation.audit` checks them.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.images.preprocess import Preprocess
from model.predictions import natural_key
from training.data.labelled_images import (
    DataError,
    LabelledImages,
    load_labelled_images,
    picture_files,
    subfolder,
)
from training.data.reports import truncate_list, write_json

CLASS_LABELS = {"real": 1, "fake": 0}
MAX_LISTED = 10

Target = Literal["folder", "detector", "mixture"]

DataIssues = dict[str, list[str]]
"""Kind of issue -> the files or JSON entries that have it."""


@dataclass(frozen=True)
class Tree:
    """The paths of a hackathon tree.

    folders: class name -> folder of pictures.
    detector_files: class name -> JSON with the labels that the organisers' detector gave to the pictures
        of that folder; classes without such a file are left out.
    test: folder of unlabelled test pictures, None if there is none.
    """

    root: Path
    folders: dict[str, Path]
    detector_files: dict[str, Path]
    test: Path | None

    @property
    def is_unambiguous(self) -> bool:
        """Whether it has more than folders called real and fake, which other data sets have too."""
        named = any(folder.name.casefold() not in CLASS_LABELS for folder in self.folders.values())
        return named or bool(self.detector_files) or self.test is not None


@dataclass(frozen=True)
class Example:
    """A picture.

    class_name: that of its folder, real or fake.
    index: the number that the file is named after, None for a name that is no number.
    detector_label: the class name that the organisers' detector gave it, None if there is none.
    """

    path: Path
    class_name: str
    index: int | None
    detector_label: str | None


def find(root: Path) -> Tree | None:
    """The hackathon tree in `root`, or None if there is none.

    Pictures are in `real_cifake_images/` and `fake_cifake_images/`, or in `real/` and `fake/`, in
    `root` or in `root/train`; the JSON files `*real*_preds.json`, `*fake*_preds.json` in either.
    Test pictures are in `test_images/`, `test/test_images/` or `test/`. Folder names are case-insensitive;
    raises DataError if two differ in case only.
    """
    parents = [parent for parent in (root, subfolder(root, "train")) if parent and parent.is_dir()]
    for parent in parents:
        for pattern in ("{}_cifake_images", "{}"):
            folders = {
                name: folder for name in CLASS_LABELS if (folder := subfolder(parent, pattern.format(name)))
            }
            if len(folders) == len(CLASS_LABELS):
                detector_files = {
                    name: paths[0]
                    for name in CLASS_LABELS
                    if (paths := [path for p in parents for path in sorted(p.glob(f"*{name}*_preds.json"))])
                }
                return Tree(root, folders, detector_files, _test_folder(root))
    return None


def get_tree(root: Path) -> Tree:
    """The hackathon tree in `root`. Raises DataError if there is none."""
    tree = find(root)
    if tree is None:
        raise DataError(f"{root} has no real_cifake_images/ and fake_cifake_images/")
    return tree


def list_examples(tree: Tree) -> tuple[list[Example], DataIssues]:
    """All pictures in natural order of names, real ones first, and the issues of the tree."""
    issues: DataIssues = defaultdict(list)
    examples: list[Example] = []
    for class_name, folder in tree.folders.items():
        file = tree.detector_files.get(class_name)
        detector_labels = _load_detector_labels(file, issues) if file else {}
        if not file:
            issues["missing JSON"].append(f"*{class_name}*_preds.json")
        seen: set[int] = set()
        for path in sorted(picture_files(folder), key=lambda path: natural_key(path.name)):
            name = f"{folder.name}/{path.name}"
            index = int(path.stem) if path.stem.isdecimal() and len(path.stem) < 10 else None
            if index is None:
                issues["file name without a number"].append(name)
                examples.append(Example(path, class_name, None, None))
                continue
            if index in seen:
                issues["duplicate index"].append(name)
                continue
            if file and index not in detector_labels:
                issues["missing index"].append(name)
            seen.add(index)
            examples.append(Example(path, class_name, index, detector_labels.get(index)))
        issues["missing picture"] += [f"{folder.name}/{i}" for i in detector_labels if i not in seen]
    return examples, {kind: names for kind, names in issues.items() if names}


def meta_rows(examples: list[Example]) -> list[dict[str, Any]]:
    """The rows of `train_meta.json`: index, label (1 real, 0 fake), the detector's prediction.

    Pictures without a number or without the detector's label have no row.
    """
    return [
        {"index": one.index, "label": CLASS_LABELS[one.class_name], "prediction": one.detector_label}
        for one in examples
        if one.index is not None and one.detector_label is not None
    ]


def write_meta(root: Path) -> str:
    """Write `train_meta.json` into a hackathon tree. Returns what was found, as text. Raises DataError."""
    examples, issues = list_examples(get_tree(root))
    rows, path = meta_rows(examples), root / "train_meta.json"
    write_json(path, rows)
    return "\n".join(
        [describe(issues)] * bool(issues)
        + [f"{len(rows)} rows for {len(examples)} pictures written to {path}"]
    )


def load(tree: Tree, preprocess: Preprocess, target: Target = "folder") -> tuple[LabelledImages, DataIssues]:
    """The labelled pictures and the issues of the tree.

    target: `folder`, labels are those of the folders; `detector`, those of the organisers' detector, and
        pictures without one are left out; `mixture`, labels are those of the folders, and soft labels the
        mean of both. Raises DataError if a class is empty.
    """
    if target not in get_args(Target):
        raise DataError(f"unknown target {target!r}: one of {', '.join(get_args(Target))}")
    examples, issues = list_examples(tree)
    if target == "detector":
        examples = [one for one in examples if one.detector_label is not None]
    files = [one.path for one in examples]
    folder_labels = np.array([CLASS_LABELS[one.class_name] for one in examples], np.uint8)
    detector_labels = np.array([CLASS_LABELS[one.detector_label or one.class_name] for one in examples])
    labels = detector_labels if target == "detector" else folder_labels
    pictures = load_labelled_images(files, labels.tolist(), tree.root, preprocess)
    if pictures.unreadable:
        issues["unreadable picture"] = [f"{name} ({reason})" for name, reason in pictures.unreadable]
    for class_name, label in CLASS_LABELS.items():
        if not (pictures.labels == label).any():
            raise DataError(f"{tree.root} has no readable picture that the {target} labels {class_name}")
    if target == "mixture":
        means = (folder_labels + detector_labels) / 2
        by_name = dict(zip([str(file.relative_to(tree.root)) for file in files], means, strict=True))
        soft_labels = np.array([by_name[name] for name in pictures.names], np.float32)
        pictures = replace(pictures, soft_labels=soft_labels)
    return pictures, issues


def describe(issues: DataIssues) -> str:
    """A line for each kind of issue: how many there are, and the first of them."""
    lines = [f"{kind}: {len(names)}: {truncate_list(names, MAX_LISTED)}" for kind, names in issues.items()]
    return "\n".join(lines)


def _load_detector_labels(path: Path, issues: DataIssues) -> dict[int, str | None]:
    """Index -> class name; None if it is unknown, or given twice and not the same."""
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        issues["unreadable JSON"].append(f"{path.name} ({error})")
        return {}
    if not isinstance(entries, list):
        issues["unreadable JSON"].append(f"{path.name} (a list was expected)")
        return {}
    labels: dict[int, str | None] = {}
    for position, entry in enumerate(entries):
        index = entry.get("index") if isinstance(entry, dict) else None
        if type(index) is not int:
            issues["entry without an index"].append(f"{path.name}[{position}]")
            continue
        label = entry.get("prediction")
        if label not in CLASS_LABELS:
            issues["unknown label"].append(f"{path.name} {index}: {label!r}")
            label = None
        if index in labels:
            issues["duplicate index"].append(f"{path.name} {index}")
            label = label if label == labels[index] else None
        labels[index] = label
    return labels


def _test_folder(root: Path) -> Path | None:
    test = subfolder(root, "test")
    for folder in (subfolder(root, "test_images"), test and subfolder(test, "test_images"), test):
        if folder and picture_files(folder):
            return folder
    return None
