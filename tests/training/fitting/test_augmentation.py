import io
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.ndimage import gaussian_filter
from torch.utils._python_dispatch import TorchDispatchMode

from tests.pictures import noise
from tests.stand_in_device import StandInDevice, StandInTensor
from training.fitting.augmentation import (
    NO_AUGMENTATION,
    Augmentation,
    blur,
    color_jitter,
    grayscale,
    random_crop,
    random_rotate,
    resample_chroma,
    rotate,
    zoom,
)


def batch(count: int = 8) -> torch.Tensor:
    images = np.stack([noise(seed) for seed in range(count)])
    return torch.from_numpy(images).permute(0, 3, 1, 2)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_no_augmentation() -> None:
    assert torch.equal(NO_AUGMENTATION(batch(), 32, seeded()), batch())


def test_results_depend_on_the_seed_alone() -> None:
    augmentation = Augmentation()
    first, again, other = (augmentation(batch(64), 24, seeded(seed)) for seed in (1, 1, 2))
    assert first.shape == (64, 3, 24, 24)
    assert first.dtype == torch.uint8
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_input_is_not_modified() -> None:
    before = batch(64)
    Augmentation(chroma_upsampling=1, jpeg_reencode=1)(before, 32, seeded())
    assert torch.equal(before, batch(64))


def test_flip_mirrors_about_half() -> None:
    flipped = replace(NO_AUGMENTATION, flip=True)(batch(64), 32, seeded())
    mirrored = [torch.equal(a, b.flip(2)) for a, b in zip(flipped, batch(64), strict=True)]
    kept = [torch.equal(a, b) for a, b in zip(flipped, batch(64), strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 16 <= sum(mirrored) <= 48


@pytest.mark.parametrize(("size", "padding"), [(32, 2), (16, 0), (20, 3)])
def test_crops_are_of_the_reflected_image(size: int, padding: int) -> None:
    crops = random_crop(batch(), size, padding, seeded())
    padded = torch.nn.functional.pad(batch().float(), (padding,) * 4, mode="reflect").to(torch.uint8)
    for crop, image in zip(crops, padded, strict=True):
        positions = image.unfold(1, size, 1).unfold(2, size, 1)  # (3, rows, columns, size, size)
        assert (positions == crop[:, None, None]).all(-1).all(-1).all(0).any()


@pytest.mark.parametrize("probability", [0.0, 0.5, 1.0])
def test_some_pictures_are_shifted_and_the_others_stay_where_they_are(probability: float) -> None:
    augmentation = replace(NO_AUGMENTATION, shift=2, shift_probability=probability)
    shifted = augmentation(batch(200), 32, seeded())
    moved = sum(not torch.equal(a, b) for a, b in zip(shifted, batch(200), strict=True))
    drawn = probability * 200 * 24 / 25  # one place of 5 x 5 is the picture's own
    assert abs(moved - drawn) <= 4 * (drawn * (1 - drawn / 200)) ** 0.5


def test_crops_have_all_positions() -> None:
    ramp = torch.arange(32, dtype=torch.uint8).expand(500, 3, 32, 32)
    lefts = random_crop(ramp, 16, 0, seeded())[:, 0, 0, 0]
    assert set(lefts.tolist()) == set(range(17))


def test_resampled_chroma_keeps_grey_and_luma() -> None:
    colourless = batch().float().mean(1, keepdim=True).round().to(torch.uint8).expand(-1, 3, -1, -1)
    assert (resample_chroma(colourless, seeded()).int() - colourless.int()).abs().max() <= 1
    luma = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    soft = (batch() / 2 + 64).to(torch.uint8)  # away from 0 and 255, where clipping changes luma
    change = ((resample_chroma(soft, seeded()).float() - soft) * luma).sum(1)
    assert change.abs().max() < 1


def test_resampled_chroma_differs_as_decoders_do() -> None:
    """On chroma that JPEG has halved already, as in the data, the change is a few grey levels at most."""
    file = io.BytesIO()
    Image.fromarray(noise()).save(file, "JPEG", quality=75)
    decoded = torch.tensor(np.asarray(Image.open(file))).permute(2, 0, 1).expand(64, 3, 32, 32)
    change = (resample_chroma(decoded, seeded()).float() - decoded).square().mean().sqrt()
    assert 0.1 < change < 6


def test_probability() -> None:
    changed = replace(NO_AUGMENTATION, jpeg_reencode=0.25)(batch(400), 32, seeded())
    share = (changed != batch(400)).flatten(1).any(1).float().mean()
    assert 0.18 < share < 0.32


def test_rotation_is_about_the_centre() -> None:
    smooth = batch(32)
    rotated = random_rotate(smooth, 10, seeded())
    assert rotated.dtype == torch.uint8
    middle = (slice(None), slice(None), slice(14, 18), slice(14, 18))
    assert (rotated[middle].float() - smooth[middle].float()).abs().mean() < 6
    assert (rotated.float() - smooth.float()).abs().mean() > 6
    assert torch.equal(random_rotate(smooth, 10, seeded()), rotated)
    assert torch.equal(random_rotate(smooth, 0, seeded()), smooth)


def test_rotation_by_90_degrees_is_exact() -> None:
    """At 90 degrees bilinear sampling hits the pixels themselves."""
    rotated = rotate(batch(2), torch.tensor([90.0, -90.0]))
    assert torch.equal(rotated[0], batch(2)[0].rot90(1, (1, 2)))
    assert torch.equal(rotated[1], batch(2)[1].rot90(-1, (1, 2)))


def test_brightness_scales_whole_images() -> None:
    plain = torch.full((200, 3, 8, 8), 100, dtype=torch.uint8)
    changed = replace(NO_AUGMENTATION, brightness=0.2)(plain, 8, seeded()).float()
    assert (changed.amax((1, 2, 3)) == changed.amin((1, 2, 3))).all()
    assert 80 <= changed.min() < 84
    assert 116 < changed.max() <= 120


def test_blur_is_scipys() -> None:
    sigma = [0.2, 0.5, 1.0]
    for image, blurred, width in zip(batch(3), blur(batch(3), torch.tensor(sigma)), sigma, strict=True):
        expected = gaussian_filter(image.float().numpy(), (0, width, width), mode="nearest", radius=4)
        np.testing.assert_allclose(blurred.float().numpy(), expected, atol=0.51)


def test_zoom_enlarges_a_crop() -> None:
    ramp = torch.arange(32).repeat(400, 3, 32, 1).to(torch.uint8) * 7  # each pixel's column
    steps = (zoom(ramp, seeded()).float()[..., 28] - zoom(ramp, seeded()).float()[..., 4])[:, 0, 0] / (24 * 7)
    assert 0.79 < steps.min() < 0.83
    assert 0.97 < steps.max() < 1.01
    lefts = zoom(ramp, seeded())[:, 0, 0, 0].float() / 7
    assert 0 <= lefts.min() < 0.5
    assert 5 < lefts.max() <= 6.9


def test_noise_standard_deviation() -> None:
    plain = torch.full((200, 3, 32, 32), 128, dtype=torch.uint8)
    spread = replace(NO_AUGMENTATION, noise=1, max_noise_std=8)(plain, 32, seeded()).float().flatten(1).std(1)
    assert 7 < spread.max() < 8.5
    assert spread.min() < 0.6


def test_color_jitter_is_brightness_and_contrast() -> None:
    image = torch.cat([torch.full((500, 3, 4, 4), value, dtype=torch.uint8) for value in (90, 110)], 3)
    changed = color_jitter(image, seeded()).float()
    middle, difference = changed.mean((1, 2, 3)), changed[:, 0, 0, 7] - changed[:, 0, 0, 0]
    assert 74 < middle.min() < 80
    assert 120 < middle.max() < 126
    assert (difference / middle * 100).min() == pytest.approx(15, abs=1.5)
    assert (difference / middle * 100).max() == pytest.approx(25, abs=1.5)


def test_grayscale_is_pillows() -> None:
    changed = grayscale(batch(), seeded()).permute(0, 2, 3, 1).numpy()
    for image, found in zip(batch().permute(0, 2, 3, 1).numpy(), changed, strict=True):
        expected = np.asarray(Image.fromarray(image).convert("L").convert("RGB")).astype(int)
        assert np.abs(found - expected).max() <= 1


EVERYTHING = Augmentation(
    chroma_upsampling=0.5,
    jpeg_reencode=0.5,
    blur=0.5,
    zoom=0.5,
    noise=0.5,
    color_jitter=0.5,
    grayscale=0.5,
    rotate=10,
    brightness=0.2,
)


class NoWaiting(TorchDispatchMode):
    """Refuses what has to wait for the stand-in device: values, and shapes that depend on values."""

    def __torch_dispatch__(self, function: Callable, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if isinstance(args[0] if args else None, StandInTensor):
            name = function.__name__.split(".")[0]
            masks = name == "index" and any(i is not None and i.dtype == torch.bool for i in args[1])
            to_cpu = name == "_to_copy" and torch.device(kwargs.get("device") or "meta").type == "cpu"
            assert name not in ("_local_scalar_dense", "nonzero", "masked_select", "equal"), name
            assert not masks
            assert not to_cpu
        return function(*args, **kwargs)


@pytest.mark.parametrize("size", [32, 24])
def test_another_device_gives_the_same_without_waiting_for_it(size: int) -> None:
    here = EVERYTHING(batch(16), size, seeded())
    with StandInDevice():
        images = batch(16).to("meta")
        with NoWaiting():
            augmented = EVERYTHING(images, size, seeded())
        there = augmented.cpu()
    assert torch.equal(there, here)


def test_waiting_for_a_device_is_seen() -> None:
    with StandInDevice():
        images = batch(2).to("meta")
        for wait in (lambda: images.cpu(), lambda: images[images > 3], lambda: float(images.sum())):
            with NoWaiting(), pytest.raises(AssertionError):
                wait()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_cuda_gives_nearly_the_same_without_waiting_for_it() -> None:
    """Its convolutions and interpolations round otherwise, by a grey level; JPEG may make more of that."""
    images = batch(64).to("cuda")
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        augmented = EVERYTHING(images, 32, seeded())
    finally:
        torch.cuda.set_sync_debug_mode("default")
    difference = (augmented.cpu().int() - EVERYTHING(batch(64), 32, seeded()).int()).abs()
    assert difference.float().mean() < 0.1
