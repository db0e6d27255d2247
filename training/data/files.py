"""Picture files on disk: found in folders, and read within limits."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from model.images.decode import ImageLimits
from model.predictions import natural_key

SUFFIXES = {".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".avif", ".heic", ".heif"}
MAX_BYTES = 8 * ImageLimits().pixels
"""Largest file that is read: the most pixels that are decoded, with four channels of 16 bits."""


def walk(folder: Path) -> Iterator[Path]:
    """The files in `folder` and below with a file name extension of a picture, in natural order.

    The files of a folder come before those of its subfolders. Hidden files and folders, and links to folders,
    are left out. A folder that cannot be listed comes itself, so that reading it tells why.
    """
    folders = [folder]
    while folders:
        folder = folders.pop()
        try:
            paths = sorted(folder.iterdir(), key=lambda path: natural_key(path.name))
            visible = [path for path in paths if not path.name.startswith(".")]
            subfolders = {path: path.is_symlink() for path in visible if path.is_dir()}
        except OSError:
            yield folder
            continue
        yield from (path for path in visible if path.suffix.lower() in SUFFIXES and path not in subfolders)
        folders += [path for path, linked in reversed(subfolders.items()) if not linked]


def read_bytes(path: Path) -> bytes:
    """The file's content. Raises OSError if it cannot be read, is not a file, or has more than MAX_BYTES.

    A pipe or a device is not waited for.
    """
    with open(path, "rb", opener=lambda name, flags: os.open(name, flags | os.O_NONBLOCK)) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError("this is a pipe or a device, not a file")
        if status.st_size > MAX_BYTES:
            raise OSError(f"{status.st_size} bytes: a file may have {MAX_BYTES} at most")
        return file.read(status.st_size)
