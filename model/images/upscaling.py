"""Detection and inversion of upscaling."""

from functools import lru_cache

import numpy as np
from PIL import Image
from PIL.Image import Resampling

KERNELS = (Resampling.NEAREST, Resampling.BILINEAR, Resampling.BICUBIC, Resampling.LANCZOS)
MAX_SCALE = 16
MATCH_RMSE = 3.0  # in grey levels; allows for rounding and for mild compression of the upscaled image


def undo_upscaling(picture: np.ndarray, size: int) -> np.ndarray | None:
    """The (size, size) image that this one was upscaled from, or None if it was not upscaled.

    picture: RGB, uint8 of shape (H, W, 3). H and W must be multiples of `size`, at most MAX_SCALE times it.
    Upscaling is linear, so the small image is estimated by least squares for each common kernel (Unser,
    Aldroubi & Eden 1995, "Enlargement or reduction of digital images with minimum loss of information"). The
    estimate with the smallest error after upscaling it again is returned if that error is below MATCH_RMSE.
    """
    height, width = picture.shape[:2]
    scales = {height // size, width // size}
    if height % size or width % size or min(scales) < 1 or max(scales) > MAX_SCALE or scales == {1}:
        return None
    planes = picture.transpose(2, 0, 1).astype(np.float32)
    best, best_error = None, MATCH_RMSE
    for kernel in KERNELS:
        up_rows, down_rows = _resize_matrices(size, height, kernel)
        up_columns, down_columns = _resize_matrices(size, width, kernel)
        small = np.clip(np.rint(down_rows @ planes @ down_columns.T), 0, 255)
        upscaled = np.clip(up_rows @ small @ up_columns.T, 0, 255)
        error = float(np.sqrt(np.square(upscaled - planes).mean()))
        if error < best_error:
            best, best_error = small, error
    return None if best is None else best.transpose(1, 2, 0).astype(np.uint8)


@lru_cache(maxsize=64)
def _resize_matrices(size: int, side: int, kernel: Resampling) -> tuple[np.ndarray, np.ndarray]:
    """The matrix that upscales a column from `size` to `side` pixels, and its pseudoinverse."""
    up = np.asarray(Image.fromarray(np.eye(size, dtype=np.float32)).resize((size, side), kernel))
    return up, np.linalg.solve(up.T @ up, up.T)
