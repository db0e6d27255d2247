"""The files in an uploaded .zip, .tar or .tar.gz, read one after another within limits.

An archive that looks like an attack (paths that climb out, links, archives within, more data than
allowed) is refused whole. Nothing is unpacked to disk, but for a .tar.gz to a nameless temporary file.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from api.archives.members import GZIP_MAGIC, ZIP_MAGIC, Archive, ArchiveLimits
from api.archives.tars import Tar, unpack
from api.archives.zips import Zip
from api.errors import UnsupportedProblem

__all__ = ["Archive", "ArchiveLimits", "open_archive"]

SPOOL = 1 << 20  # bytes of an unpacked .tar.gz that are held in memory


@contextmanager
def open_archive(file: IO[bytes], limits: ArchiveLimits, deadline: float = math.inf) -> Iterator[Archive]:
    """The archive in `file`, which is seekable; what it is, its first bytes tell.

    deadline: by time.monotonic(), for opening it and for its members. Raises Problem: 400 unsafe, 413 over
    a limit, 415 no archive, 422 damaged; and TimeoutError.
    """
    file.seek(0)
    head = file.read(512)
    file.seek(0)
    if head.startswith(ZIP_MAGIC):
        yield Zip(file, limits, deadline)
    elif head.startswith(GZIP_MAGIC):
        with tempfile.SpooledTemporaryFile(max_size=SPOOL) as spooled:
            unpacked = cast(IO[bytes], spooled)
            unpack(file, unpacked, limits, deadline)
            yield Tar(unpacked, limits, deadline)
    elif head[257:262] == b"ustar":
        yield Tar(file, limits, deadline)
    else:
        raise UnsupportedProblem("the field `archive` must be a .zip, .tar or .tar.gz file")
