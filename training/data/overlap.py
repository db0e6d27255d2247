"""Which pictures of one data set are in another, compared by pixels."""

from pathlib import Path

import numpy as np
import torch

from model.images.statistics import LUMA
from training.data.labelled_images import LABELS, LabelledImages

# Two JPEG decoders agree on luma up to rounding, and differ in how they upsample chroma. Different pictures
# of CIFAKE have an RMSE of 30 grey levels of luma and more.
MATCH_RMSE = 3.0
CHUNK = 500

_LUMA = torch.tensor(LUMA)


def nearest(pictures: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The nearest neighbour of each picture among the others.

    pictures: uint8 of shape (N, H, W, 3); others: uint8 of shape (M, H, W, 3).
    Returns its index, int64 of shape (N,), and its distance, float of shape (N,): the root mean square
    error (RMSE) of luma, in grey levels from 0 to 255.
    """
    other_rows = _luma_rows(others)
    other_norms = other_rows.square().sum(1)
    index, distance = [], []
    for start in range(0, len(pictures), CHUNK):
        rows = _luma_rows(pictures[start : start + CHUNK])
        # |a - b|^2 = |a|^2 + |b|^2 - 2 ab
        squares = rows.square().sum(1, keepdim=True) + other_norms - 2 * rows @ other_rows.T
        least, where = squares.min(1)
        index.append(where)
        distance.append((least.clamp(min=0) / rows.shape[1]).sqrt())
    return torch.cat(index).numpy(), torch.cat(distance).numpy()


def describe(data: LabelledImages, other: LabelledImages, data_folder: Path, other_folder: Path) -> str:
    """How many pictures of `data` are in `other`, by the labels that they have in both."""
    index, distance = nearest(data.images, other.images)
    match = distance < MATCH_RMSE
    lines = [f"{match.sum()} of {len(data)} pictures of {data_folder} are in {other_folder}:"]
    for name, label in LABELS.items():
        for other_name, other_label in LABELS.items():
            both = match & (data.labels == label) & (other.labels[index] == other_label)
            lines.append(f"  {both.sum():5d} labelled {name} here and {other_name} there")
    most, least = distance[match].max(initial=0), distance[~match].min(initial=255)
    lines.append(
        f"RMSE of luma in grey levels: at most {most:.1f} for these, at least {least:.1f} for others"
    )
    return "\n".join(lines)


def _luma_rows(pictures: np.ndarray) -> torch.Tensor:
    """Luma of each picture in one row, float32 of shape (N, H * W)."""
    parts = [part.float() @ _LUMA for part in torch.from_numpy(pictures).split(5000)]
    # Centred around 0, because float32 loses the small differences of large sums.
    return torch.cat(parts).flatten(1) - 127.5
