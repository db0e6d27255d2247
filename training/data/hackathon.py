"""The hackathon's tree: two folders of pictures, and its detector's own words on each of them.

What it calls real and fake is kept as found; whether that is true, `training.evaluation.audit` looks into.
"""

import json
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from model.images.preprocess import Preprocess
from model.predictions import natural_key
from training.data.labelled_images import DataError, LabelledImages, picture_files, read_pictures, subfolder
from training.data.reports import listed

WORDS = {"real": 1, "fake": 0}
MAX_LISTED = 10

Target = Literal["folder", "detector", "mixture"]

Findings = dict[str, list[str]]
"""What is wrong with the data: kind of fault -> what it was found in."""


@dataclass(frozen=True)
class Tree:
    """Where things are.

    folders: the folder of pictures of each word.
    opinions: the JSON of the organisers' detector on that folder, where there is one.
    test: the folder of unlabelled test pictures, where there is one.
    """

    root: Path
    folders: dict[str, Path]
    opinions: dict[str, Path]
    test: Path | None

    @property
    def certain(self) -> bool:
        """Whether something besides folders named real and fake, which others have too, says what it is."""
        named = any(folder.name.casefold() not in WORDS for folder in self.folders.values())
        return named or bool(self.opinions) or self.test is not None


@dataclass(frozen=True)
class Example:
    """A picture: the word of its folder, and the detector's where it is known.

    index: the number that the file is named after; None for a name that is no number.
    """

    path: Path
    word: str
    index: int | None
    prediction: str | None


def find(root: Path) -> Tree | None:
    """The tree in `root`, or None where it is none.

    Pictures are in `real_cifake_images/` and `fake_cifake_images/`, or in `real/` and `fake/`, in
    `root` or in `root/train`; the JSON files `*real*_preds.json`, `*fake*_preds.json` in either.
    Test pictures are in `test_images/`, `test/test_images/` or `test/`. Case does not matter in the folders'
    names; raises DataError where two differ in nothing else.
    """
    places = [place for place in (root, subfolder(root, "train")) if place and place.is_dir()]
    for place in places:
        for pattern in ("{}_cifake_images", "{}"):
            folders = {word: inside for word in WORDS if (inside := subfolder(place, pattern.format(word)))}
            if len(folders) == len(WORDS):
                opinions = {
                    word: found[0]
                    for word in WORDS
                    if (found := [path for p in places for path in sorted(p.glob(f"*{word}*_preds.json"))])
                }
                return Tree(root, folders, opinions, _test_folder(root))
    return None


def examples(tree: Tree) -> tuple[list[Example], Findings]:
    """All pictures in natural order, real ones first, and what is wrong with the tree."""
    findings: Findings = defaultdict(list)
    everything: list[Example] = []
    for word, folder in tree.folders.items():
        opinions = _opinions(tree.opinions[word], findings) if word in tree.opinions else {}
        if word not in tree.opinions:
            findings["missing JSON"].append(f"*{word}*_preds.json")
        seen: set[int] = set()
        for path in sorted(picture_files(folder), key=lambda path: natural_key(path.name)):
            name = f"{folder.name}/{path.name}"
            index = int(path.stem) if path.stem.isdecimal() and len(path.stem) < 10 else None
            if index is None:
                findings["file name without a number"].append(name)
            elif index in seen:
                findings["doubled index"].append(name)
                continue
            elif word in tree.opinions and index not in opinions:
                findings["missing index"].append(name)
            if index is not None:
                seen.add(index)
            everything.append(Example(path, word, index, opinions.get(index) if index is not None else None))
        findings["missing picture"] += [f"{folder.name}/{index}" for index in opinions if index not in seen]
    return everything, {kind: names for kind, names in findings.items() if names}


def meta(everything: list[Example]) -> list[dict[str, Any]]:
    """The rows of `train_meta.json`: index, label (1 real, 0 fake), the detector's prediction.

    Pictures without a number or without the detector's word have no row.
    """
    return [
        {"index": example.index, "label": WORDS[example.word], "prediction": example.prediction}
        for example in everything
        if example.index is not None and example.prediction is not None
    ]


def read(tree: Tree, preprocess: Preprocess, target: Target = "folder") -> tuple[LabelledImages, Findings]:
    """The labelled pictures and what is wrong with them.

    target: `folder`, the label is the folder's word; `detector`, it is the organisers' detector's,
        and pictures that it said nothing of are left out; `mixture`, the label is the folder's, and
        trained towards is the mean of both. Raises DataError where a class is empty.
    """
    if target not in get_args(Target):
        raise DataError(f"unknown target {target!r}: one of {', '.join(get_args(Target))}")
    everything, findings = examples(tree)
    if target == "detector":
        everything = [example for example in everything if example.prediction is not None]
    said = [example.prediction or example.word for example in everything]
    labels = [
        WORDS[word if target == "detector" else example.word]
        for example, word in zip(everything, said, strict=True)
    ]
    files = [example.path for example in everything]
    pictures = read_pictures(files, labels, tree.root, preprocess)
    if pictures.unreadable:
        findings["unreadable picture"] = [f"{name} ({reason})" for name, reason in pictures.unreadable]
    for word, label in WORDS.items():
        if not (pictures.labels == label).any():
            raise DataError(f"{tree.root} has no picture labelled {word} by {target}: nothing to learn from")
    if target == "mixture":
        word_of = {
            str(example.path.relative_to(tree.root)): (WORDS[example.word] + WORDS[word]) / 2
            for example, word in zip(everything, said, strict=True)
        }
        soft = np.array([word_of[name] for name in pictures.names], np.float32)
        pictures = replace(pictures, soft=soft)
    return pictures, findings


def describe(findings: Findings) -> str:
    """A line for each kind of fault: how often, and where."""
    return "\n".join(f"{kind}: {len(names)}: {listed(names, MAX_LISTED)}" for kind, names in findings.items())


def _opinions(path: Path, findings: Findings) -> dict[int, str | None]:
    """The detector's word for each index it names; None where the word cannot be used."""
    try:
        entries = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        findings["unreadable JSON"].append(f"{path.name} ({error})")
        return {}
    if not isinstance(entries, list):
        findings["unreadable JSON"].append(f"{path.name} (a list was expected)")
        return {}
    opinions: dict[int, str | None] = {}
    for place, entry in enumerate(entries):
        index = entry.get("index") if isinstance(entry, dict) else None
        if type(index) is not int:
            findings["entry without an index"].append(f"{path.name}[{place}]")
            continue
        word = entry.get("prediction")
        if word not in WORDS:
            findings["unknown word"].append(f"{path.name} {index}: {word!r}")
            word = None
        if index in opinions:
            findings["doubled index"].append(f"{path.name} {index}")
            word = word if word == opinions[index] else None  # two words are as good as none
        opinions[index] = word
    return opinions


def _test_folder(root: Path) -> Path | None:
    test = subfolder(root, "test")
    for folder in (subfolder(root, "test_images"), test and subfolder(test, "test_images"), test):
        if folder and picture_files(folder):
            return folder
    return None
