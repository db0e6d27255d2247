"""Augmentation of whole batches of uint8 pictures, before normalisation."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.jpeg import RGB_TO_YCBCR, YCBCR_TO_RGB, jpeg_reencode

Change = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a picture each time it is trained on.

    flip: mirror half of the pictures left to right.
    shift: pixels by which the window that is trained on may reach past the picture's edge.
    chroma_upsampling: share of pictures whose chroma is redrawn as another JPEG decoder might have drawn it.
    jpeg_reencode: share of pictures that are saved as JPEG once more, at a quality from
        `min_jpeg_quality` to 95.
    blur: share of pictures that are blurred, by a Gaussian of 0.2 to `max_blur_sigma` pixels.
    zoom: share of pictures of which a window, four fifths of the side or more, is brought to full size.
    noise: share of pictures that get Gaussian noise of up to `max_noise_std` grey levels.
    color_jitter: share of pictures whose brightness and contrast change, each by up to a quarter.
    grayscale: share of pictures that lose their colour.
    rotate: degrees by which a picture is turned at most, either way.
    brightness: share by which every picture is made brighter or darker at most.

    Decoder and recompression are there so that neither file format nor decoder gives the class away;
    blur, noise, tone and grey for pictures that have been through other programs.
    """

    flip: bool = True
    shift: int = 2
    chroma_upsampling: float = 0.25
    jpeg_reencode: float = 0.15
    min_jpeg_quality: int = 25
    blur: float = 0.15
    max_blur_sigma: float = 1.2
    zoom: float = 0.08
    noise: float = 0.06
    max_noise_std: float = 8.0
    color_jitter: float = 0.1
    grayscale: float = 0.03
    rotate: float = 0.0
    brightness: float = 0.0

    def __call__(self, batch: Tensor, size: int, random: torch.Generator) -> Tensor:
        """A new batch, uint8 (N, 3, size, size), from one of uint8 (N, 3, H, W), H and W even."""
        # What happens to files comes first: JPEG's 8x8 and 2x2 grids start at a file's corner, not at a
        # shifted one.
        changes: list[tuple[float, Change]] = [
            (self.chroma_upsampling, resample_chroma),
            (self.zoom, zoom),
            (self.blur, self._blur),
            (self.noise, self._noise),
            (self.color_jitter, color_jitter),
            (self.grayscale, grayscale),
            (self.jpeg_reencode, self._recompress),
        ]
        for share, change in changes:
            if share:
                batch = _some(batch, share, random, change)
        if self.flip:
            mirrored = torch.rand(len(batch), generator=random) < 0.5
            batch = torch.where(mirrored.view(-1, 1, 1, 1), batch.flip(3), batch)
        if self.rotate:
            batch = rotate(batch, self.rotate, random)
        if self.brightness:
            factor = 1 + (torch.rand((len(batch), 1, 1, 1), generator=random) * 2 - 1) * self.brightness
            batch = _rounded(batch * factor)
        if self.shift == 0 and batch.shape[2:] == (size, size):
            return batch
        return crop(batch, size, self.shift, random)

    def _blur(self, batch: Tensor, random: torch.Generator) -> Tensor:
        return blur(batch, 0.2 + torch.rand(len(batch), generator=random) * (self.max_blur_sigma - 0.2))

    def _noise(self, batch: Tensor, random: torch.Generator) -> Tensor:
        loudness = torch.rand((len(batch), 1, 1, 1), generator=random) * self.max_noise_std
        return _rounded(batch + loudness * torch.randn(batch.shape, generator=random))

    def _recompress(self, batch: Tensor, random: torch.Generator) -> Tensor:
        qualities = torch.randint(self.min_jpeg_quality, 96, (len(batch),), generator=random)
        pictures = batch.permute(0, 2, 3, 1).numpy()
        saved = [jpeg_reencode(picture, int(q)) for picture, q in zip(pictures, qualities, strict=True)]
        return torch.from_numpy(np.stack(saved)).permute(0, 3, 1, 2)


UNCHANGED = Augmentation(
    flip=False,
    shift=0,
    chroma_upsampling=0.0,
    jpeg_reencode=0.0,
    blur=0.0,
    zoom=0.0,
    noise=0.0,
    color_jitter=0.0,
    grayscale=0.0,
)


def _some(batch: Tensor, share: float, random: torch.Generator, change: Change) -> Tensor:
    """`change` applied to each picture with probability `share`."""
    chosen = torch.rand(len(batch), generator=random) < share
    if not chosen.any():
        return batch
    batch = batch.clone()
    batch[chosen] = change(batch[chosen], random)
    return batch


def blur(batch: Tensor, sigma: Tensor) -> Tensor:
    """Each picture under its own Gaussian, cut off at 4 pixels, the edge repeated outwards.

    Batch is uint8 of shape (N, 3, H, W); sigma, in pixels, is float of shape (N,).
    """
    _, channels, height, width = batch.shape
    offset = torch.arange(-4, 5)
    kernel = torch.exp(-(offset**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    planes = F.pad(batch.float(), (4, 4, 4, 4), "replicate").reshape(1, -1, height + 8, width + 8)
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    return _rounded(planes.view(batch.shape))


def zoom(batch: Tensor, random: torch.Generator) -> Tensor:
    """A random window of each picture, 4/5 of its side or more, enlarged to the whole, bilinear.

    Batch is uint8 of shape (N, 3, H, W).
    """
    side = 0.8 + 0.2 * torch.rand(len(batch), generator=random)
    matrix = torch.zeros(len(batch), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = side
    matrix[:, :, 2] = (1 - side)[:, None] * (2 * torch.rand((len(batch), 2), generator=random) - 1)
    return _resampled(batch, matrix)


def color_jitter(batch: Tensor, random: torch.Generator) -> Tensor:
    """Brightness and contrast (about the mean luma) multiplied by 3/4 to 5/4. Batch is uint8 (N, 3, H, W)."""
    brightness, contrast = 0.75 + torch.rand((2, len(batch), 1, 1, 1), generator=random) / 2
    mean = _luma(batch).mean((1, 2, 3), keepdim=True)
    return _rounded(((batch - mean) * contrast + mean) * brightness)


def grayscale(batch: Tensor, _random: torch.Generator) -> Tensor:
    """Each picture's luma in all three channels. Batch is uint8 (N, 3, H, W)."""
    return _rounded(_luma(batch).expand(batch.shape))


def resample_chroma(batch: Tensor, random: torch.Generator) -> Tensor:
    """Chroma brought to half resolution and back, mixed with the original by a random weight.

    JPEG stores chroma at half resolution, and decoders differ in how they bring it back:
    libjpeg-turbo by a triangle filter, libjpeg 7 and later by a larger inverse DCT, others by
    repeating it. Batch is uint8 of shape (N, 3, H, W), H and W even.
    """
    ycc = torch.einsum("ij,njhw->nihw", RGB_TO_YCBCR, batch.float())
    half = F.avg_pool2d(ycc[:, 1:], 2)
    kinds = [
        half.repeat_interleave(2, 2).repeat_interleave(2, 3),
        F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False),
        F.interpolate(half, scale_factor=2, mode="bicubic", align_corners=False),
    ]
    kind = torch.randint(len(kinds), (len(batch),), generator=random)
    redrawn = torch.stack(kinds)[kind, torch.arange(len(batch))]
    weight = torch.rand((len(batch), 1, 1, 1), generator=random)
    chroma = torch.lerp(ycc[:, 1:], redrawn, weight)
    rgb = torch.einsum("ij,njhw->nihw", YCBCR_TO_RGB, torch.cat([ycc[:, :1], chroma], 1))
    return _rounded(rgb)


def _luma(batch: Tensor) -> Tensor:
    return (batch * RGB_TO_YCBCR[0].view(3, 1, 1)).sum(1, keepdim=True)


def _rounded(batch: Tensor) -> Tensor:
    return batch.round().clamp(0, 255).to(torch.uint8)


def rotate(batch: Tensor, degrees: float, random: torch.Generator) -> Tensor:
    """Each picture turned by its own angle, up to `degrees` either way. Batch as for `turn`."""
    return turn(batch, (torch.rand(len(batch), generator=random) * 2 - 1) * degrees)


def turn(batch: Tensor, degrees: Tensor) -> Tensor:
    """Each picture turned about its middle, bilinear, the corners mirrored in.

    Batch is uint8 of shape (N, 3, H, W), H equal to W; degrees is float of shape (N,).
    """
    angle = degrees.deg2rad()
    matrix = torch.zeros(len(batch), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0] = angle.sin()
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    return _resampled(batch, matrix)


def _resampled(batch: Tensor, matrix: Tensor) -> Tensor:
    """Each picture seen through its own affine map, (N, 2, 3): bilinear, what lies outside mirrored in."""
    grid = F.affine_grid(matrix, list(batch.shape), align_corners=False)
    return _rounded(F.grid_sample(batch.float(), grid, padding_mode="reflection", align_corners=False))


def crop(batch: Tensor, size: int, beyond: int, random: torch.Generator) -> Tensor:
    """A random (size, size) window of each picture, reaching up to `beyond` pixels past its edge.

    What lies past the edge is the picture mirrored. With `size` equal to the picture's side it is
    a random shift.
    """
    count, _, height, width = batch.shape
    top = torch.randint(-beyond, height - size + beyond + 1, (count, 1), generator=random)
    left = torch.randint(-beyond, width - size + beyond + 1, (count, 1), generator=random)
    rows = _mirror(top + torch.arange(size), height)
    columns = _mirror(left + torch.arange(size), width)
    picture = torch.arange(count).view(-1, 1, 1)
    # Advanced indices on both sides of a slice put the sliced axis last: (N, H, W, 3).
    return batch[picture, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _mirror(index: Tensor, length: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= length, 2 * (length - 1) - index, index)
