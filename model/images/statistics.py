"""Statistics of a picture's pixels that tell photographs from drawings.

Drawings have plain areas, few colours and sharp edges, photographs noise and shading everywhere: Athitsos,
Swain & Frankel 1997, "Distinguishing Photographs and Graphics on the World Wide Web", doi
10.1109/IVL.1997.629715.
"""

import numpy as np

STATISTICS = (
    "luma",
    "standard deviation of the luma",
    "luma, horizontal differences",
    "luma, vertical differences",
    "luma, Laplacian",
    "luma, Laplacian, weak edges emphasised",
    "R - Y, horizontal differences",
    "equal horizontal neighbours",
    "equal vertical neighbours",
)
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601


def image_statistics(batch: np.ndarray) -> np.ndarray:
    """STATISTICS of images, float32 of shape (N, len(STATISTICS)).

    batch: RGB, uint8 of shape (N, H, W, 3), H and W at least 3. All but the last two are in units of full
    scale. Differences are those of adjacent pixels, the Laplacian is the sum of the four of a pixel to its
    neighbours; what is given is the mean magnitude, and with weak edges emphasised the squared mean of its
    square root. Equal neighbours are the share of adjacent pixels that have the same colour.
    """
    red, green, blue = np.moveaxis(batch, 3, 0).astype(np.float32, order="C")
    luma = (LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue) / np.float32(255)
    right, down = np.diff(luma, axis=2), np.diff(luma, axis=1)
    laplacian = np.abs(np.diff(right, axis=2)[:, 1:-1] + np.diff(down, axis=1)[:, :, 1:-1])
    red_difference = red / np.float32(255) - luma
    colour = (red * 256 + green) * 256 + blue  # exact in float32
    columns = [
        luma.mean((1, 2)),
        luma.std((1, 2)),
        np.abs(right).mean((1, 2)),
        np.abs(down).mean((1, 2)),
        laplacian.mean((1, 2)),
        np.sqrt(laplacian).mean((1, 2)) ** 2,
        np.abs(np.diff(red_difference, axis=2)).mean((1, 2)),
        (colour[:, :, 1:] == colour[:, :, :-1]).mean((1, 2)),
        (colour[:, 1:] == colour[:, :-1]).mean((1, 2)),
    ]
    return np.stack(columns, 1).astype(np.float32)
