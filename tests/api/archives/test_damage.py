import time
import tracemalloc
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.errors import Problem
from tests.abuse.archives import (
    ARCHIVES,
)
from tests.api.archives.reading import read, seeds


@settings(derandomize=True, deadline=None, max_examples=400)
@given(
    st.sampled_from(seeds()),
    st.lists(
        st.tuples(st.integers(0, 5000), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1)), max_size=4
    ),
    st.integers(0, 600_000),
    st.booleans(),
)
def test_fields_at_their_extremes(original: bytes, changes: list[tuple], padding: int, prefix: bool) -> None:
    """Any number at any offset, with zero padding, gives the files or a Problem."""
    data = bytearray(original)
    for at, size, value in changes:
        at %= len(data)
        data[at : at + size] = (value % 256**size).to_bytes(size, "little")
    with_padding = bytes(padding) + bytes(data) if prefix else bytes(data) + bytes(padding)
    tracemalloc.start()
    with suppress(Problem):
        read(with_padding)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 70 << 20  # a dictionary of 64 MiB, and 3 files


EXPECTED = {
    "zip_directory_offset.zip": 422,
    "zip_member_offset.zip": 422,
    "zip_bzip2_wrong_byte.zip": 422,
    "zip_empty_name.zip": 400,
    "zip_overlap.zip": 413,  # by these limits; 400 by larger ones
    "zip_dictionary.zip": {"0.png": b"abc" * 100},
    "zip_bzip2_bomb.zip": 422,
    "zip_lzma_bomb.zip": 422,
    "zip_deflate_bomb.zip": 422,
    "zip_symlink.zip": 400,
    "zip_unicode_path.zip": 400,
    "zip_unicode_path_of_another_name.zip": {"0.png": b"a"},
    "zip_extra_fields.zip": 413,
    "zip_long_names.zip": 413,
    "tar_sparse.tar": 400,
    "tar_sparse_extensions.tar": 400,
    "tar_sparse_records.tar": 400,
    "tar_negative_size.tar": 422,
    "tar_record_size.tar": 422,
    "tar_record_length.tar": 422,
    "tar_long_name.tar": 400,
    "tar_global_records.tar": {"0.png": b"a"},
    "tar_headers.tar": 413,
    "tar_many_bytes.tar": 413,
    "gzip_members.tar.gz": 422,
    "gzip_name.tar.gz": 422,
    "gzip_bomb.tar.gz": 413,
    "bzip2_streams.tar.bz2": 422,
    "bzip2_bomb.tar.bz2": 413,
    "xz_streams.tar.xz": 422,
    "xz_bomb.tar.xz": 413,
    "xz_dictionary.tar.xz": 413,
}


def test_every_hostile_archive_is_expected() -> None:
    assert EXPECTED.keys() == ARCHIVES.keys()


@pytest.mark.parametrize("name", ARCHIVES)
def test_hostile_archives(name: str) -> None:
    smaller = {name: 40 << 20 for name in ARCHIVES if name.partition(".")[0].endswith("_bomb")}
    smaller |= {"gzip_members.tar.gz": 1 << 20, "gzip_name.tar.gz": 1 << 20, "tar_headers.tar": 1 << 20}
    data = ARCHIVES[name](smaller[name]) if name in smaller else ARCHIVES[name]()  # type: ignore[call-arg]
    tracemalloc.start()
    started_at = time.process_time()
    try:
        outcome: object = read(data)
    except Problem as problem:
        outcome = problem.status
    seconds = time.process_time() - started_at
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert outcome == EXPECTED[name]
    assert peak < 8 << 20
    assert seconds < 5
