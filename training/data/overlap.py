"""Which pictures of one data set stand in another, told by their pixels and not by their files."""

import numpy as np
import torch

# Two decoders of JPEG agree on its luma but for rounding, and differ in how they bring chroma to full
# size. Different pictures of CIFAKE are 30 grey levels of luma and more apart.
MATCH_RMSE = 3.0
CHUNK = 500

_LUMA = torch.tensor([0.299, 0.587, 0.114])  # ITU-R BT.601


def nearest(pictures: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each picture the nearest of the others.

    pictures: uint8 of shape (N, H, W, 3); others: uint8 of shape (M, H, W, 3).
    Returns its index, int64 of shape (N,), and how far away it is, float of shape (N,): the root mean
    square of the difference in luma, in grey levels from 0 to 255.
    """
    theirs = _rows(others)
    lengths = theirs.square().sum(1)
    index, distance = [], []
    for start in range(0, len(pictures), CHUNK):
        ours = _rows(pictures[start : start + CHUNK])
        squares = ours.square().sum(1, keepdim=True) + lengths - 2 * ours @ theirs.T
        least, where = squares.min(1)
        index.append(where)
        distance.append((least.clamp(min=0) / ours.shape[1]).sqrt())
    return torch.cat(index).numpy(), torch.cat(distance).numpy()


def _rows(pictures: np.ndarray) -> torch.Tensor:
    parts = [part.float() @ _LUMA for part in torch.from_numpy(pictures).split(5000)]
    # About the middle of the range, so that float32 keeps the small differences of large sums.
    return torch.cat(parts).flatten(1) - 127.5
