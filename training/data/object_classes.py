"""What CIFAKE's pictures show, which their file names tell.

Both halves have the ten classes of CIFAR-10 (Krizhevsky & Hinton 2009): `0123.jpg` is of the first class,
`0123 (2).jpg` of the second, and so on.
"""

import re
from collections.abc import Sequence
from pathlib import PurePath

import numpy as np

OBJECT_CLASSES = (
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
)
_STEM = re.compile(r"\d+(?: \(([2-9]|10)\))?", re.ASCII)


def object_classes(names: Sequence[str]) -> np.ndarray | None:
    """Each file's place in OBJECT_CLASSES, int64 of shape (N,).

    None where the names do not tell: some are others than CIFAKE's, or not all ten classes are there, as in
    folders whose files are simply numbered.
    """
    found = [_STEM.fullmatch(PurePath(name).stem) for name in names]
    if not all(found):
        return None
    classes = np.array([int(match[1] or 1) - 1 for match in found if match], np.int64)
    return classes if len(np.unique(classes)) == len(OBJECT_CLASSES) else None
