"""Checks of an upload's names, number of files and declared sizes, before any picture is decoded."""

from api.archives import FileSource
from api.archives.members import check_time
from api.batches.options import BatchLimits, BatchOptions
from api.errors import BadRequestProblem, TooLargeProblem
from model.images.decode import MAGIC
from model.images.headers import declared_pixels
from model.images.signature import file_kind

HEADER_BYTES = 1 << 16  # of a file, to read the picture's width and height from
PATH_BYTES = 256  # limit of a path in UTF-8, on average of as many files as a batch may have, and 1 MiB more


def check_files(files: FileSource, options: BatchOptions, limits: BatchLimits, deadline: float) -> int:
    """The number of files. deadline: by time.monotonic().

    Raises BadRequestProblem if two pictures have the same name, TooLargeProblem for more than the limits,
    TimeoutError past the deadline, and the Problems of an archive's reader.
    """
    image_ids: set[str] = set()  # of the files that look like pictures
    count = path_bytes = pixels = 0
    for path, header in files.iter_files(HEADER_BYTES):
        count += 1
        path_bytes += len(path.encode())
        if count > limits.files:
            raise TooLargeProblem(f"a batch may have {limits.files} files at most; send several batches")
        if path_bytes > (1 << 20) + PATH_BYTES * limits.files:
            raise TooLargeProblem("the names of the files are too long together; send several batches")
        size = declared_pixels(header)
        if size <= limits.image_pixels:  # a larger picture is reported as unreadable
            pixels += size
            if size or header.startswith(MAGIC) or file_kind(header) in ("AVIF", "HEIC"):
                add_image_id(image_ids, path, options)
        check_pixels(pixels, limits)
        check_time(deadline)
    return count


def add_image_id(image_ids: set[str], path: str, options: BatchOptions) -> None:
    """Add the `image_id` of the picture at a path. Raises BadRequestProblem if it is there."""
    image_id = options.image_id(path)
    if image_id in image_ids:
        remedy = "" if options.keep_folders else ", or, if their folders differ, ask with ?names=path"
        raise BadRequestProblem(f"two pictures are named {image_id!r}; give them different names{remedy}")
    image_ids.add(image_id)


def check_pixels(pixels: int, limits: BatchLimits) -> None:
    """Raises TooLargeProblem for more than the limit of all pictures together."""
    if pixels > limits.pixels:
        raise TooLargeProblem(
            f"a batch's pictures may have {limits.pixels} pixels together; send several batches"
        )
