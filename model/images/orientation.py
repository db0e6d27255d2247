"""The Exif orientation of a picture, read from its metadata within limits; damaged metadata is ignored."""

import re
from contextlib import suppress

from PIL import Image

from model.images.errors import ImageError
from model.images.tiff import first_directory

NORMAL = 1
TURNED = (5, 6, 7, 8)  # those that swap width and height

_TAG = 0x0112
_TRANSPOSE = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_XMP = re.compile(rb"tiff:Orientation(?:=[\"']|>)([1-8])")


def read_orientation(exif: bytes, xmp: bytes = b"") -> int:
    """The orientation, 1 to 8 (Exif 3.0, section 4.6.4.1): that of the Exif data, or else of the XMP."""
    with suppress(ImageError):  # too many tags, or a tag of another type
        tags = first_directory(exif.removeprefix(b"Exif\0\0").removeprefix(b"Exif\0\0"))
        orientation = tags.number(_TAG, 0) if tags else 0
        if 1 <= orientation <= 8:
            return orientation
    found = _XMP.search(xmp)
    return int(found[1]) if found else NORMAL


def apply_orientation(image: Image.Image, orientation: int | None) -> Image.Image:
    """The image as it is to be seen; a transposed one replaces the image, which is closed.

    orientation: None to take the one that Pillow made of an AVIF's rotation and mirroring.
    """
    image.load()
    if orientation is None:
        orientation = image.getexif().get(_TAG, NORMAL)
    method = _TRANSPOSE.get(orientation)
    if method is None:
        return image
    transposed = image.transpose(method)
    image.close()
    return transposed
