"""Data sets of synthetic pictures, in the layouts that training reads."""

import json
from pathlib import Path

import numpy as np

from tests.pictures import encode, noise


def picture(label: int, seed: int) -> np.ndarray:
    """A smooth picture for label 1, a darker one with horizontal lines for label 0.

    The shipped model calls those REAL and these FAKE, without doubt.
    """
    smooth = noise(seed) // 2
    lines = np.indices((32, 32))[0] % 2 * 60
    return (smooth + (100 if label else lines[..., None])).astype(np.uint8)


def cifake_tree(root: Path, train: int = 20, test: int = 4, folders: str = "train test REAL FAKE") -> Path:
    """`train` and `test` different pictures of each class."""
    *splits, real, fake = folders.split()
    for split, count, first_seed in zip(splits, (train, test), (0, 500), strict=True):
        for label, name in ((1, real), (0, fake)):
            folder = root / split / name
            folder.mkdir(parents=True)
            for i in range(count):
                (folder / f"{i}.png").write_bytes(encode(picture(label, first_seed + i)))
    return root


def hackathon_tree(root: Path, count: int = 20, test: int = 5, folders: str = "{}_cifake_images") -> Path:
    """`count` pictures of each class with the detector's labels, and `test` pictures without labels."""
    for label, name in ((1, "real"), (0, "fake")):
        folder = root / folders.format(name)
        folder.mkdir(parents=True)
        for i in range(1, count + 1):
            (folder / f"{i}.png").write_bytes(encode(picture(label, i)))
        predictions = [{"index": i, "prediction": name} for i in range(1, count + 1)]
        (root / f"{name}_cifake_preds.json").write_text(json.dumps(predictions))
    (root / "test_images").mkdir()
    for i in range(1, test + 1):
        (root / "test_images" / f"{i}.png").write_bytes(encode(picture(i % 2, 900 + i)))
    return root
