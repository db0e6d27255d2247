"""Errors of decoding. The first four are about the file, the last two about the load of this process."""


class ImageError(Exception):
    """The bytes cannot be decoded to an image."""


class UnsupportedImageError(ImageError):
    """Not an image in a supported format."""


class BrokenImageError(ImageError):
    """An image of a supported format whose data is truncated or invalid."""


class ImageTooLargeError(ImageError):
    """More pixels, or more time or memory to decode them, than allowed."""


class DecodeTimeoutError(Exception):
    """The deadline passed before the image was decoded."""


class DecoderBusyError(Exception):
    """Too many large images are waiting to be decoded."""
