import bz2
import gzip
import io
import lzma
import random
import sys
import threading
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archives import compression
from api.archives.compression import COMPRESSIONS, decompress
from api.archives.members import ArchiveLimits
from api.errors import Problem, UnsupportedProblem
from tests.abuse.archives import xz_dictionary

LIMITS = ArchiveLimits(10, 100_000, 3_000_000)
COMPRESSORS: list[Callable[[bytes], bytes]] = [gzip.compress, bz2.compress, lzma.compress]
if sys.version_info >= (3, 14):
    COMPRESSORS.append(import_module("compression.zstd").compress)
every_compressor = pytest.mark.parametrize("compress", COMPRESSORS, ids=lambda function: function.__module__)


def unpacked(data: bytes, deadline: float = float("inf")) -> bytes:
    [format_] = [one for one in COMPRESSIONS if data.startswith(one.magic)]
    target = io.BytesIO()
    decompress(io.BytesIO(data), target, format_, LIMITS, deadline)
    return target.getvalue()


def rejection(data: bytes) -> Problem:
    with pytest.raises(Problem) as caught:
        unpacked(data)
    return caught.value


CONTENTS = [
    b"",
    b"x",
    bytes(1_000_000),
    random.Random(0).randbytes(200_000),
    random.Random(1).randbytes(1000) * 1000,
]


@every_compressor
def test_contents_of_all_kinds(compress: Callable[[bytes], bytes]) -> None:
    for content in CONTENTS:
        assert unpacked(compress(content)) == content
    data = b"".join(map(compress, CONTENTS))
    assert unpacked(data + bytes(100_000)) == b"".join(CONTENTS)  # streams, and padding


@every_compressor
def test_damage(compress: Callable[[bytes], bytes]) -> None:
    data = compress(CONTENTS[3])
    for damaged in (data[:-1], data[:100_000], data[:20], data + b"no stream", data + data[:50]):
        assert rejection(damaged).status == 422


@every_compressor
def test_limits_of_bytes_streams_and_time(compress: Callable[[bytes], bytes]) -> None:
    assert rejection(compress(bytes(3_000_001))).status == 413
    assert rejection(compress(bytes(100_000)) * 31).status == 413
    assert "1024 streams" in rejection(compress(b"") * 1025).detail
    with pytest.raises(TimeoutError):
        unpacked(compress(b"x"), time.monotonic() - 1)


@settings(derandomize=True, deadline=None, max_examples=300)
@given(
    st.sampled_from([compress(content) for compress in COMPRESSORS for content in CONTENTS[:3]]),
    st.lists(st.tuples(st.integers(0, 2000), st.binary(min_size=1, max_size=4)), max_size=4),
    st.integers(0, 2000),
)
def test_changed_bytes_raise_only_problems(data: bytes, changes: list[tuple[int, bytes]], end: int) -> None:
    changed = bytearray(data)
    for at, value in changes:
        changed[6 + at % len(data) : 6 + at % len(data) + len(value)] = value
    with suppress(Problem):
        unpacked(bytes(changed[: max(6, len(changed) - end)]))


def test_the_largest_dictionary_of_xz_is_read_and_a_larger_one_is_not() -> None:
    largest = [{"id": lzma.FILTER_LZMA2, "preset": 9}]
    assert unpacked(lzma.compress(b"a", filters=largest)) == b"a"
    larger = [{"id": lzma.FILTER_LZMA2, "preset": 0, "dict_size": 65 << 20}]
    tracemalloc.start()
    for data in (lzma.compress(b"a", filters=larger), xz_dictionary()):
        tracemalloc.reset_peak()
        problem = rejection(data)
        assert (problem.status, tracemalloc.get_traced_memory()[1] < 4 << 20) == (413, True)
        assert "dictionary of more than the 67108864 bytes" in problem.detail
    tracemalloc.stop()


def test_large_windows_are_decompressed_one_at_a_time() -> None:
    with compression._large_window(float("inf")):
        started_at = time.monotonic()
        with pytest.raises(TimeoutError):
            unpacked(lzma.compress(b"a"), started_at + 0.05)
        assert time.monotonic() - started_at < 5
        assert unpacked(gzip.compress(b"a", mtime=0)) == unpacked(bz2.compress(b"a")) == b"a"
        results: list[bytes] = []
        thread = threading.Thread(target=lambda: results.append(unpacked(lzma.compress(b"a"))))
        thread.start()
        thread.join(0.05)
        assert not results
    thread.join(5)
    assert results == [b"a"]
    rejection(lzma.compress(bytes(3_000_001)))
    assert unpacked(lzma.compress(b"b")) == b"b"  # an error lets the next one in


@pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python 3.14 has compression.zstd")
def test_zstandard_needs_python_314() -> None:
    with pytest.raises(UnsupportedProblem, match="does not read Zstandard"):
        unpacked(b"\x28\xb5\x2f\xfd" + bytes(10))
