"""Pictures that are enlargements of small ones, and the small ones they were made from."""

from functools import lru_cache

import numpy as np
from PIL import Image
from PIL.Image import Resampling

KERNELS = (Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
MOST_TIMES = 16
# Root mean square in grey levels: what rounding leaves, and mild compression of the enlargement.
MATCH_RMSE = 3.0


def undo_upscaling(picture: np.ndarray, size: int) -> np.ndarray | None:
    """The (size, size) picture that this one was enlarged from; None if it does not look like it.

    picture: RGB, uint8 of shape (H, W, 3), H and W multiples of `size` up to 16 of them. Enlarging is
    linear, so for each usual kernel the small picture is found by least squares (Unser, Aldroubi & Eden
    1995, "Enlargement or reduction of digital images with minimum loss of information"). If one of them,
    enlarged again, is the picture, nothing is lost by taking it, and no filter has blurred it.
    """
    height, width = picture.shape[:2]
    times = {height // size, width // size}
    if height % size or width % size or min(times) < 1 or max(times) > MOST_TIMES or times == {1}:
        return None
    planes = picture.transpose(2, 0, 1).astype(np.float32)
    best, least = None, MATCH_RMSE
    for kernel in KERNELS:
        (up, down), (across, back) = _matrices(size, height, kernel), _matrices(size, width, kernel)
        small = np.clip(np.rint(down @ planes @ back.T), 0, 255)
        again = np.clip(up @ small @ across.T, 0, 255)
        error = float(np.sqrt(np.square(again - planes).mean()))
        if error < least:
            best, least = small, error
    return None if best is None else best.transpose(1, 2, 0).astype(np.uint8)


@lru_cache(maxsize=64)
def _matrices(size: int, side: int, kernel: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """What enlarges a column of `size` to `side` pixels, and what undoes it by least squares."""
    up = np.asarray(Image.fromarray(np.eye(size, dtype=np.float32)).resize((size, side), kernel))
    return up, np.linalg.solve(up.T @ up, up.T)
