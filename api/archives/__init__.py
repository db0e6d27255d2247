"""Reads the files of an uploaded .zip, .tar or .tar.gz one by one, within limits.

An archive that looks like an attack (path traversal, links, nested archives, decompression bombs) is
rejected. Nothing is extracted to disk, except that a .tar.gz is decompressed to a temporary file.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from api.archives.members import GZIP_MAGIC, ZIP_MAGIC, ArchiveLimits, FileSource
from api.archives.tars import Tar, gunzip
from api.archives.zips import Zip
from api.errors import UnsupportedProblem

__all__ = ["ArchiveLimits", "FileSource", "open_archive"]

SPOOL_BYTES = 1 << 20  # of a decompressed .tar.gz are kept in memory


@contextmanager
def open_archive(file: IO[bytes], limits: ArchiveLimits, deadline: float = math.inf) -> Iterator[FileSource]:
    """Open the archive in the seekable `file`; its format is detected from its first bytes.

    deadline: by time.monotonic(), for opening and reading. Raises TimeoutError, or Problem: 400 unsafe, 413
    over a limit, 415 not an archive, 422 damaged.
    """
    file.seek(0)
    header = file.read(512)
    file.seek(0)
    if header.startswith(ZIP_MAGIC):
        yield Zip(file, limits, deadline)
    elif header.startswith(GZIP_MAGIC):
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spooled:
            tar_file = cast(IO[bytes], spooled)
            gunzip(file, tar_file, limits, deadline)
            yield Tar(tar_file, limits, deadline)
    elif header[257:262] == b"ustar":
        yield Tar(file, limits, deadline)
    else:
        raise UnsupportedProblem("the field `archive` must be a .zip, .tar or .tar.gz file")
