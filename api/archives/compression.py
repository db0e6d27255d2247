"""Decompressors with one interface, and decompression of a whole file within limits of bytes and time."""

import bz2
import lzma
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from importlib import import_module
from typing import IO, NamedTuple, Protocol

from api.archives import members
from api.archives.members import CHUNK_BYTES, ArchiveLimits, broken, check_time, parsing_errors
from api.errors import TooLargeProblem, UnsupportedProblem

MAX_STREAMS = 1024  # in a file; parallel compressors write a stream per block of 128 KB or more
WINDOW_BITS = 26  # 64 MiB, the window of `xz -9`; a decompressor allocates it
XZ_BYTES = (1 << WINDOW_BITS) + (1 << 20)
WINDOW_ERRORS = ("Memory usage limit exceeded", "Frame requires too much memory")  # of liblzma and libzstd


class Decompressor(Protocol):
    """The interface of bz2.BZ2Decompressor, lzma.LZMADecompressor and compression.zstd.ZstdDecompressor."""

    @property
    def eof(self) -> bool:
        """Whether the end of the stream was read."""
        ...

    @property
    def needs_input(self) -> bool:
        """Whether there is no more output without more input."""
        ...

    @property
    def unused_data(self) -> bytes:
        """The input behind the end of the stream."""
        ...

    def decompress(self, data: bytes, max_length: int) -> bytes:
        """The next `max_length` bytes of output, or fewer."""
        ...


class Inflater:
    """A zlib decompressor with that interface. wbits: see zlib.decompressobj."""

    def __init__(self, wbits: int) -> None:
        self._inflater = zlib.decompressobj(wbits)
        self._output_pending = False

    @property
    def eof(self) -> bool:
        return self._inflater.eof

    @property
    def needs_input(self) -> bool:
        return not self._output_pending and not self._inflater.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        chunk = self._inflater.decompress(self._inflater.unconsumed_tail + data, max_length)
        self._output_pending = len(chunk) == max_length  # more output may be pending
        return chunk


def _gzip() -> Decompressor:
    return Inflater(16 + zlib.MAX_WBITS)  # Python's gzip module reads headers byte by byte


def _xz() -> Decompressor:
    return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=XZ_BYTES)


def _zstd() -> Decompressor:
    try:
        zstd = import_module("compression.zstd")
    except ImportError:  # before Python 3.14
        raise UnsupportedProblem("this server does not read Zstandard; send a .tar.gz or .tar.xz") from None
    return zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: WINDOW_BITS})


class Compression(NamedTuple):
    """A compressed file's format. large_window: it may take 64 MiB to decompress, of the others 4 MB."""

    magic: bytes
    new_decompressor: Callable[[], Decompressor]
    large_window: bool


COMPRESSIONS = (
    Compression(members.GZIP_MAGIC, _gzip, False),  # RFC 1952
    Compression(members.BZIP2_MAGIC, bz2.BZ2Decompressor, False),
    Compression(members.XZ_MAGIC, _xz, True),  # tukaani.org/xz/xz-file-format.txt
    Compression(members.ZSTD_MAGIC, _zstd, True),  # RFC 8878
)

_large_window_lock = threading.Lock()


def decompress(
    source: IO[bytes], target: IO[bytes], compression: Compression, limits: ArchiveLimits, deadline: float
) -> None:
    """Decompress a file within `limits.unpacked_bytes`. Raises Problem (413, 415, 422) and TimeoutError.

    Those with a large window are decompressed one at a time in this process, which bounds their memory.
    """
    with _large_window(deadline) if compression.large_window else nullcontext():
        total, compressed = 0, source.read(CHUNK_BYTES)
        for _ in range(MAX_STREAMS):
            if not compressed.strip(b"\0"):  # zero padding may follow the last stream
                return
            decompressor = compression.new_decompressor()
            while not decompressor.eof:
                check_time(deadline)
                with parsing_errors():
                    chunk = _next_chunk(decompressor, compressed)
                total += len(chunk)
                if total > limits.unpacked_bytes:
                    raise members.unpacked_too_large(limits)
                target.write(chunk)
                compressed = b""
                if decompressor.needs_input and not decompressor.eof:
                    compressed = source.read(CHUNK_BYTES)
                if not (compressed or chunk or decompressor.eof):
                    raise broken("it ends early")
            compressed = decompressor.unused_data or source.read(CHUNK_BYTES)
        raise broken(f"a compressed file may have {MAX_STREAMS} streams at most")


def _next_chunk(decompressor: Decompressor, compressed: bytes) -> bytes:
    try:
        return decompressor.decompress(compressed, CHUNK_BYTES)
    except Exception as error:
        if not any(message in str(error) for message in WINDOW_ERRORS):
            raise
        raise TooLargeProblem(
            f"the archive is compressed with a dictionary of more than the {1 << WINDOW_BITS} bytes that are "
            "allowed; compress it with a smaller one, such as xz -6"
        ) from error


@contextmanager
def _large_window(deadline: float) -> Iterator[None]:
    timeout = min(max(0.0, deadline - time.monotonic()), threading.TIMEOUT_MAX)
    if not _large_window_lock.acquire(timeout=timeout):
        raise TimeoutError("the archive was not unpacked in time")
    try:
        yield
    finally:
        _large_window_lock.release()
