"""Augmentation of uint8 image batches, before normalisation.

Batches are on any device and stay there. Random numbers are drawn on the CPU, so that they are the same for
all devices, and copied to it; nothing waits for the device.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from training.data.jpeg import RGB_TO_YCBCR, YCBCR_TO_RGB, jpeg_reencode
from training.data.transfer import to_device

Transform = Callable[[Tensor, torch.Generator], Tensor]


@dataclass(frozen=True)
class Augmentation:
    """Random transforms of a training batch; each image has its own parameters.

    flip: mirror left to right with probability 1/2.
    shift: pixels by which a random crop may extend beyond the image, which is reflected there.
    shift_probability: probability of shifting where the crop has the image's size. The others stay on the
        8x8 grid that JPEG compressed them in.
    chroma_upsampling: probability of resampling the chroma as another JPEG decoder does.
    jpeg_reencode: probability of JPEG compression, at a quality from `min_jpeg_quality` to 95.
    blur: probability of Gaussian blur, sigma from 0.2 to `max_blur_sigma` pixels.
    zoom: probability of enlarging a random crop, of 4/5 of the side or more, to full size.
    noise: probability of Gaussian noise, standard deviation from 0 to `max_noise_std` grey levels.
    color_jitter: probability of scaling brightness and contrast, each by 3/4 to 5/4.
    grayscale: probability of removing colour.
    rotate: maximum angle in degrees, in both directions.
    brightness: maximum relative change of brightness.

    `chroma_upsampling` and `jpeg_reencode` keep the network from telling classes apart by file format or
    decoder; `blur`, `noise`, `color_jitter` and `grayscale` imitate images processed by other programs.
    """

    flip: bool = True
    shift: int = 2
    shift_probability: float = 0.5
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

    def __call__(self, batch: Tensor, size: int, generator: torch.Generator) -> Tensor:
        """A new batch, uint8 (N, 3, size, size), from one of uint8 (N, 3, H, W), H and W even.

        generator: of the CPU.
        """
        # Transforms of whole images precede crops: JPEG's 8x8 and 2x2 grids start at the image's corner.
        transforms: list[tuple[float, Transform]] = [
            (self.chroma_upsampling, resample_chroma),
            (self.zoom, zoom),
            (self.blur, self._blur),
            (self.noise, self._noise),
            (self.color_jitter, color_jitter),
            (self.grayscale, grayscale),
            (self.jpeg_reencode, self._jpeg_reencode),
        ]
        for probability, transform in transforms:
            if probability:
                batch = _random_apply(batch, probability, generator, transform)
        if self.flip:
            mirrored = torch.rand((len(batch), 1, 1, 1), generator=generator) < 0.5
            batch = torch.where(to_device(mirrored, batch.device), batch.flip(3), batch)
        if self.rotate:
            batch = random_rotate(batch, self.rotate, generator)
        if self.brightness:
            factor = 1 + (torch.rand((len(batch), 1, 1, 1), generator=generator) * 2 - 1) * self.brightness
            batch = _to_uint8(batch * to_device(factor, batch.device))
        if batch.shape[2:] != (size, size):
            return random_crop(batch, size, self.shift, generator)
        if self.shift and self.shift_probability:
            batch = _random_apply(batch, self.shift_probability, generator, self._shift)
        return batch

    def _shift(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        return random_crop(batch, batch.shape[2], self.shift, generator)

    def _blur(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        sigma = 0.2 + torch.rand(len(batch), generator=generator) * (self.max_blur_sigma - 0.2)
        return blur(batch, sigma)

    def _noise(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        std = torch.rand((len(batch), 1, 1, 1), generator=generator) * self.max_noise_std
        noise = std * torch.randn(batch.shape, generator=generator)
        return _to_uint8(batch + to_device(noise, batch.device))

    def _jpeg_reencode(self, batch: Tensor, generator: torch.Generator) -> Tensor:
        qualities = torch.randint(self.min_jpeg_quality, 96, (len(batch),), generator=generator)
        return jpeg_reencode(batch, qualities)


NO_AUGMENTATION = Augmentation(
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


def _random_apply(
    batch: Tensor, probability: float, generator: torch.Generator, transform: Transform
) -> Tensor:
    """Apply a transform to each image with the given probability."""
    chosen = (torch.rand(len(batch), generator=generator) < probability).nonzero().flatten()
    if not len(chosen):
        return batch
    index = to_device(chosen, batch.device)
    batch = batch.clone()
    batch[index] = transform(batch[index], generator)
    return batch


def blur(batch: Tensor, sigma: Tensor) -> Tensor:
    """Gaussian blur with a 9x9 kernel and replicated edges.

    batch: uint8 of shape (N, 3, H, W); sigma: in pixels, float of shape (N,) on the CPU.
    """
    _, channels, height, width = batch.shape
    offset = torch.arange(-4, 5)
    kernel = torch.exp(-(offset**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(1, keepdim=True)).repeat_interleave(channels, 0)
    kernel = to_device(kernel, batch.device)
    planes = F.pad(batch.float(), (4, 4, 4, 4), "replicate").reshape(1, -1, height + 8, width + 8)
    planes = F.conv2d(planes, kernel[:, None, :, None], groups=len(kernel))
    planes = F.conv2d(planes, kernel[:, None, None, :], groups=len(kernel))
    return _to_uint8(planes.view(batch.shape))


def zoom(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Random crops of 4/5 of the side or more, enlarged to full size, bilinear. Batch: uint8 (N, 3, H, W)."""
    side = 0.8 + 0.2 * torch.rand(len(batch), generator=generator)
    matrix = torch.zeros(len(batch), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = side
    matrix[:, :, 2] = (1 - side)[:, None] * (2 * torch.rand((len(batch), 2), generator=generator) - 1)
    return _affine(batch, matrix)


def color_jitter(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Brightness and contrast (about the mean luma) scaled by 3/4 to 5/4. Batch: uint8 (N, 3, H, W)."""
    factors = 0.75 + torch.rand((2, len(batch), 1, 1, 1), generator=generator) / 2
    brightness, contrast = to_device(factors, batch.device)
    mean = _luma(batch).mean((1, 2, 3), keepdim=True)
    return _to_uint8(((batch - mean) * contrast + mean) * brightness)


def grayscale(batch: Tensor, _generator: torch.Generator) -> Tensor:
    """The luma (ITU-R BT.601) in all three channels. Batch: uint8 (N, 3, H, W)."""
    return _to_uint8(_luma(batch).expand(batch.shape))


def resample_chroma(batch: Tensor, generator: torch.Generator) -> Tensor:
    """Chroma downsampled by 2 and upsampled again, blended with the original by a random weight.

    JPEG stores chroma at half resolution, and decoders upsample it in different ways: libjpeg-turbo by a
    triangle filter, libjpeg 7 and later by a larger inverse DCT, others by repeating pixels.
    Batch: uint8 of shape (N, 3, H, W), H and W even.
    """
    device = batch.device
    ycc = torch.einsum("ij,njhw->nihw", to_device(RGB_TO_YCBCR, device), batch.float())
    half = F.avg_pool2d(ycc[:, 1:], 2)
    upsampled = [
        half.repeat_interleave(2, 2).repeat_interleave(2, 3),
        F.interpolate(half, scale_factor=2, mode="bilinear", align_corners=False),
        F.interpolate(half, scale_factor=2, mode="bicubic", align_corners=False),
    ]
    method = torch.randint(len(upsampled), (len(batch),), generator=generator)
    resampled = torch.stack(upsampled)[to_device(method, device), torch.arange(len(batch), device=device)]
    weight = torch.rand((len(batch), 1, 1, 1), generator=generator)
    chroma = torch.lerp(ycc[:, 1:], resampled, to_device(weight, device))
    ycc = torch.cat([ycc[:, :1], chroma], 1)
    return _to_uint8(torch.einsum("ij,njhw->nihw", to_device(YCBCR_TO_RGB, device), ycc))


def _luma(batch: Tensor) -> Tensor:
    weights = to_device(RGB_TO_YCBCR[0].view(3, 1, 1), batch.device)
    return (batch * weights).sum(1, keepdim=True)


def _to_uint8(batch: Tensor) -> Tensor:
    return batch.round().clamp(0, 255).to(torch.uint8)


def random_rotate(batch: Tensor, max_degrees: float, generator: torch.Generator) -> Tensor:
    """`rotate` by random angles from -max_degrees to max_degrees."""
    return rotate(batch, (torch.rand(len(batch), generator=generator) * 2 - 1) * max_degrees)


def rotate(batch: Tensor, degrees: Tensor) -> Tensor:
    """Counter-clockwise rotation about the centre, bilinear, with reflected borders.

    batch: uint8 of shape (N, 3, H, W), H equal to W; degrees: float of shape (N,) on the CPU.
    """
    angle = degrees.deg2rad()
    matrix = torch.zeros(len(batch), 2, 3)
    matrix[:, 0, 0] = matrix[:, 1, 1] = angle.cos()
    matrix[:, 1, 0] = angle.sin()
    matrix[:, 0, 1] = -matrix[:, 1, 0]
    return _affine(batch, matrix)


def _affine(batch: Tensor, matrix: Tensor) -> Tensor:
    """Sample each image by its affine matrix, (N, 2, 3) on the CPU: bilinear, with reflected borders."""
    grid = F.affine_grid(to_device(matrix, batch.device), list(batch.shape), align_corners=False)
    return _to_uint8(F.grid_sample(batch.float(), grid, padding_mode="reflection", align_corners=False))


def random_crop(batch: Tensor, size: int, padding: int, generator: torch.Generator) -> Tensor:
    """Random (size, size) crops of the images padded by reflection; for crops of full size a random shift."""
    count, _, height, width = batch.shape
    top = torch.randint(-padding, height - size + padding + 1, (count, 1), generator=generator)
    left = torch.randint(-padding, width - size + padding + 1, (count, 1), generator=generator)
    offset = torch.arange(size, device=batch.device)
    rows = _reflect(to_device(top, batch.device) + offset, height)
    columns = _reflect(to_device(left, batch.device) + offset, width)
    image = torch.arange(count, device=batch.device).view(-1, 1, 1)
    # Advanced indices on both sides of a slice put the sliced axis last: (N, H, W, 3).
    return batch[image, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _reflect(index: Tensor, length: int) -> Tensor:
    index = index.abs()
    return torch.where(index >= length, 2 * (length - 1) - index, index)
