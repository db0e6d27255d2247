"""JPEG re-encoding and JPEG's colour transform, for augmentation and the robustness test."""

import io

import torch
from PIL import Image
from torch import Tensor

from training.data.transfer import to_device

# JPEG's colour transform: full-range BT.601 (ITU-T T.871). Rows: Y, Cb - 128, Cr - 128.
RGB_TO_YCBCR = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
YCBCR_TO_RGB = torch.linalg.inv(RGB_TO_YCBCR)

# The quantization tables for quality 50 (ITU-T T.81, annex K).
LUMA_TABLE = torch.tensor(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ]
)
CHROMA_TABLE = torch.full((8, 8), 99)
CHROMA_TABLE[:4, :4] = torch.tensor([[17, 18, 24, 47], [18, 21, 26, 66], [24, 26, 56, 99], [47, 66, 99, 99]])

# The discrete cosine transform of 8 samples, times 8192 * sqrt(8): the integer matrix that the butterflies of
# libjpeg's `islow` method amount to, in which some numbers are one beside the nearest ones.
_LEFT = torch.tensor(
    [
        [8192, 8192, 8192, 8192],
        [11363, 9633, 6437, 2260],
        [10703, 4433, -4433, -10703],
        [9633, -2259, -11362, -6436],
        [8192, -8192, -8192, 8192],
        [6437, -11362, 2261, 9633],
        [4433, -10704, 10704, -4433],
        [2260, -6436, 9633, -11363],
    ],
    dtype=torch.int32,
)
_ODD_ROWS_NEGATED = torch.tensor([1, -1] * 4, dtype=torch.int32)[:, None]
DCT = torch.cat([_LEFT, _LEFT.flip(1) * _ODD_ROWS_NEGATED], 1)


def jpeg_reencode(batch: Tensor, qualities: Tensor) -> Tensor:
    """Images encoded as JPEG and decoded again, with the pixels that `reencode` by libjpeg-turbo gives.

    It computes what an encoder and a decoder do around the lossless part of the format, in the same integer
    arithmetic, for a batch at once and on any device: chroma at half resolution, the slow and accurate cosine
    transform, and the triangle filter.

    batch: RGB, uint8 of shape (N, 3, H, W), H and W more than 4; qualities: 1 to 95, int64 of shape (N,) on
    the CPU.
    """
    height, width = batch.shape[2:]
    red, green, blue = batch.int().unbind(1)
    luma = (19595 * red + 38470 * green + 7471 * blue + (1 << 15)) >> 16
    offset = (128 << 16) + (1 << 15) - 1
    cb = (-11059 * red - 21709 * green + 32768 * blue + offset) >> 16
    cr = (32768 * red - 27439 * green - 5329 * blue + offset) >> 16

    luma = _quantize(_extend(luma[:, None], 8, 8), LUMA_TABLE, qualities)[:, 0, :height, :width]
    chroma = _halve(_extend(torch.stack([cb, cr], 1), 2, 16))
    chroma = _quantize(_extend(chroma, 8, 8), CHROMA_TABLE, qualities)
    chroma = chroma[..., : (height + 1) // 2, : (width + 1) // 2]
    cb, cr = (_double(chroma)[..., :height, :width] - 128).unbind(1)

    red = luma + ((91881 * cr + (1 << 15)) >> 16)
    green = luma + ((-22554 * cb - 46802 * cr + (1 << 15)) >> 16)
    blue = luma + ((116130 * cb + (1 << 15)) >> 16)
    return torch.stack([red, green, blue], 1).clamp(0, 255).to(torch.uint8)


def reencode(picture: Image.Image, file_format: str, quality: int) -> Image.Image:
    """The picture encoded in a lossy format (Pillow's name of it) and decoded again, as RGB."""
    file = io.BytesIO()
    picture.save(file, file_format, quality=quality)
    return Image.open(file).convert("RGB")


def _quantize(planes: Tensor, table: Tensor, qualities: Tensor) -> Tensor:
    """Planes of 0 to 255, int32 (N, C, H, W) of whole blocks, after quantization by a table of each image."""
    count, channels, height, width = planes.shape
    scale = torch.where(qualities < 50, 5000 // qualities, 200 - 2 * qualities).view(-1, 1, 1, 1, 1, 1)
    steps = to_device(((table * scale + 50) // 100).clamp(1, 255).int(), planes.device)
    dct = to_device(DCT, planes.device)
    blocks = planes.view(count, channels, height // 8, 8, width // 8, 8).transpose(3, 4) - 128
    # libjpeg keeps two bits more between the passes, and coefficients that are eight times as large.
    coefficients = _columns(dct, _rows(dct, blocks, 11), 15)
    levels = (coefficients.abs() + 4 * steps) // (8 * steps) * coefficients.sign()
    blocks = _rows(dct.T, _columns(dct.T, levels * steps, 11), 18)
    return (blocks + 128).clamp(0, 255).transpose(3, 4).reshape(planes.shape)


def _rows(matrix: Tensor, blocks: Tensor, shift: int) -> Tensor:
    """The matrix times each row of the blocks (..., 8, 8), over 2^shift, rounded.

    Not by `matmul`, which CUDA has not for integers; float32 has too few digits, and some devices no float64.
    """
    return ((blocks.unsqueeze(-2) * matrix).sum(-1, dtype=torch.int32) + (1 << (shift - 1))) >> shift


def _columns(matrix: Tensor, blocks: Tensor, shift: int) -> Tensor:
    """The matrix times each column of the blocks (..., 8, 8), over 2^shift, rounded."""
    products = blocks.unsqueeze(-3) * matrix[:, :, None]
    return (products.sum(-2, dtype=torch.int32) + (1 << (shift - 1))) >> shift


def _extend(planes: Tensor, rows: int, columns: int) -> Tensor:
    """Planes (..., H, W) with the last row and column repeated up to a multiple of `rows` and `columns`."""
    height, width = planes.shape[-2:]
    row = torch.arange(-(-height // rows) * rows, device=planes.device).clamp(max=height - 1)
    column = torch.arange(-(-width // columns) * columns, device=planes.device).clamp(max=width - 1)
    return planes[..., row[:, None], column]


def _halve(planes: Tensor) -> Tensor:
    """Means of 2x2 pixels, (..., H, W) to (..., H/2, W/2). Halves are rounded down and up in turn."""
    pairs = planes[..., 0::2, :] + planes[..., 1::2, :]
    bias = torch.arange(planes.shape[-1] // 2, dtype=torch.int32, device=planes.device) % 2 + 1
    return (pairs[..., 0::2] + pairs[..., 1::2] + bias) >> 2


def _double(planes: Tensor) -> Tensor:
    """Planes (..., H, W) upsampled to (..., 2H, 2W): 3/4 of the nearest pixel and 1/4 of the next."""
    rows = torch.stack(_mix(planes, -2), -2).flatten(-3, -2)
    left, right = _mix(rows, -1)
    return torch.stack([(left + 8) >> 4, (right + 7) >> 4], -1).flatten(-2)


def _mix(planes: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """Three times each pixel, plus the one before it, and plus the one after it."""
    index = torch.arange(planes.shape[dim], device=planes.device)
    before = planes.index_select(dim, (index - 1).clamp(min=0))
    after = planes.index_select(dim, (index + 1).clamp(max=planes.shape[dim] - 1))
    return 3 * planes + before, 3 * planes + after
