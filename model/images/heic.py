"""HEIC is read where the optional package pillow-heif is installed: 1.7.0 or later."""

from model.images.errors import UnsupportedImageError
from model.images.signature import file_kind


def heic_formats(data: bytes) -> tuple[str, ...]:
    """Pillow's name of the format if the file is HEIC, which is registered then; else nothing.

    Raises UnsupportedImageError for HEIC without the package.
    """
    if data[4:8] != b"ftyp" or file_kind(data) != "HEIC":
        return ()
    try:
        import pillow_heif
    except ImportError as error:
        raise UnsupportedImageError(
            "this is HEIC, which is read only where the package pillow-heif is installed; send it as JPEG"
        ) from error
    pillow_heif.register_heif_opener()
    return ("HEIF",)
