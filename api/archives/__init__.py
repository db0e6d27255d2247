"""Reads the files of an uploaded .zip, .tar or compressed .tar one by one, within limits.

An archive that looks like an attack (path traversal, links, nested archives, decompression bombs) is
rejected. Nothing is extracted to disk, except that a compressed .tar is decompressed to a temporary file.
"""

import math
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, cast

from api.archives.compression import COMPRESSIONS, decompress
from api.archives.members import UNREAD_MAGIC, ZIP_MAGIC, ArchiveLimits, FileSource
from api.archives.tars import Tar, is_tar
from api.archives.zips import Zip
from api.errors import UnsupportedProblem
from model.images.signature import file_kind

__all__ = ["FORMATS", "ArchiveLimits", "FileSource", "open_archive"]

FORMATS = ".zip, .tar, .tar.gz, .tar.bz2 or .tar.xz"
SPOOL_BYTES = 1 << 20  # of a decompressed .tar are kept in memory


@contextmanager
def open_archive(file: IO[bytes], limits: ArchiveLimits, deadline: float = math.inf) -> Iterator[FileSource]:
    """Open the archive in the seekable `file`; its format is detected from its first bytes.

    deadline: by time.monotonic(), for opening and reading. Raises TimeoutError, or Problem: 400 unsafe, 413
    over a limit, 415 not an archive, 422 damaged.
    """
    header = _header(file)
    compression = next((one for one in COMPRESSIONS if header.startswith(one.magic)), None)
    if header.startswith(ZIP_MAGIC):
        yield Zip(file, limits, deadline)
    elif compression:
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as spooled:
            tar_file = cast(IO[bytes], spooled)
            decompress(file, tar_file, compression, limits, deadline)
            if not is_tar(header := _header(tar_file)):
                raise _not_an_archive("what it was decompressed to", header)
            yield Tar(tar_file, limits, deadline)
    elif is_tar(header):
        yield Tar(file, limits, deadline)
    else:
        raise _not_an_archive("this", header)


def _header(file: IO[bytes]) -> bytes:
    """The first 512 bytes."""
    file.seek(0)
    header = file.read(512)
    file.seek(0)
    return header


def _not_an_archive(what: str, header: bytes) -> UnsupportedProblem:
    kinds = [f"a {kind} archive" for kind, magic in UNREAD_MAGIC.items() if header.startswith(magic)]
    kind = next(iter(kinds), None) or file_kind(header) or "something else"
    return UnsupportedProblem(f"the field `archive` must be a {FORMATS} file; {what} is {kind}")
