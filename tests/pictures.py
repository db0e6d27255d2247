"""Generated images."""

import io
import tarfile
import zipfile
from collections.abc import Mapping

import numpy as np
from PIL import Image


def noise(seed: int = 0, width: int = 32, height: int = 32) -> np.ndarray:
    """A smooth random image, uint8 RGB; JPEG changes it less than white noise."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 5, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def encode(picture: np.ndarray | Image.Image, file_format: str = "PNG", **options: object) -> bytes:
    """Encode an image file."""
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    file = io.BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def tarred(files: Mapping[str, bytes], mode: str) -> bytes:
    """A tar file of these files; mode: as `tarfile.open` takes it, such as `w:gz`."""
    file = io.BytesIO()
    with tarfile.open(mode=mode, fileobj=file) as archive:  # type: ignore[call-overload]
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


def zipped(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of named files."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return file.getvalue()
