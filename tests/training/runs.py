"""Files of a run folder."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np


def write_validation(
    folder: Path, names: Iterable[str], labels: np.ndarray, predictions: np.ndarray, uncalibrated: np.ndarray
) -> None:
    """Write `validation.csv`, as a run does."""
    rows = zip(names, labels, predictions, uncalibrated, strict=True)
    lines = [f"{name},{label},{p:.6f},{raw:.6f}" for name, label, p, raw in rows]
    (folder / "validation.csv").write_text("\n".join(["name,label,prediction,uncalibrated", *lines]) + "\n")
