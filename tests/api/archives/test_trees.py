import io
import json
import tarfile
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api.archives import names
from api.errors import BadRequestProblem
from model.predictions import encode
from tests.abuse.archives import (
    ZipEntry,
    raw_zip,
    records,
    unicode_path,
)
from tests.api.archives.reading import gnu_long_name, member, read, ustar


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (ustar(b"1.png"), "1.png"),
        (ustar("é.png".encode()), "é.png"),
        (ustar(b"\xe9.png"), "é.png"),  # Latin-1
        (ustar(b"\xe9.png", "写".encode()), "å\x86\x99/é.png"),
        (ustar(b"1.png", "写".encode()), "写/1.png"),
        (ustar(b"x" * 100, b"a" * 155), "a" * 155 + "/" + "x" * 100),
        (ustar(b"1.png", b"13333333333\0", b"ustar  \0"), "1.png"),  # GNU has times there
        (ustar(b"1.png", b"a", b"\0" * 8), "1.png"),  # V7 has nothing there
        (gnu_long_name(b"x" * 200) + ustar(b"x" * 100, magic=b"ustar  \0"), "x" * 200),
        (gnu_long_name(b"\xe9" * 200) + ustar(b"x", magic=b"ustar  \0"), "é" * 200),
        (records(path="写.png") + ustar(b"x"), "写.png"),
        (records(path=b"\xe9.png") + ustar(b"x"), "é.png"),  # GNU tar 1.23
        (records(path=b"\xe9.png", hdrcharset="BINARY") + ustar(b"x"), "é.png"),
        (records(path="写.png", hdrcharset="BINARY") + ustar(b"x"), "写.png"),
        (records(path=b"") + ustar(b"1.png"), "1.png"),  # an empty record is none
        (records(path=b"a/b/") + ustar(b"1.png"), "a/b"),
        (ustar(b"folder", kind=b"D") + ustar(b"1.png"), "1.png"),  # GNU's incremental archives
        (ustar(b"label", kind=b"V") + ustar(b"1.png"), "1.png"),
    ],
)
def test_names_in_tars(data: bytes, name: str) -> None:
    assert read(data + bytes(1024)) == {name: b"a"}


@settings(derandomize=True, deadline=None, max_examples=300)
@given(st.binary(max_size=300), st.sampled_from(["ustar", "gnu", "pax", "zip", "flag", "Info-ZIP"]))
def test_any_bytes_as_a_name_give_valid_json_or_a_problem(name: bytes, kind: str) -> None:
    flags, extra = 0x800 * (kind == "flag"), b""
    if kind == "Info-ZIP":
        extra = unicode_path(name, b"1.png")
    if kind == "ustar":
        data = ustar(name[:100], name[100:255]) + bytes(1024)
    elif kind == "gnu":
        data = gnu_long_name(name) + ustar(b"1.png") + bytes(1024)
    elif kind == "pax":
        data = records(path=name) + ustar(b"1.png") + bytes(1024)
    else:
        data = raw_zip(ZipEntry(b"1.png" if extra else name, b"a", flags=flags, extra=extra))
    try:
        found = list(read(data))
    except BadRequestProblem:
        return
    rows = json.loads(encode([(path, 0.5) for path in found]).decode("ascii"))
    assert [row["image_id"] for row in rows] == found
    "".join(found).encode()  # fails for surrogates


ALPHABET = st.characters(exclude_categories=["Cs"], exclude_characters="/\\:\0")
PART = st.text(ALPHABET, min_size=1, max_size=20).filter(lambda part: not part.startswith("."))
TREES = st.dictionaries(
    st.lists(PART, min_size=1, max_size=4).map("/".join).filter(lambda path: not names.is_system_file(path)),
    st.binary(max_size=300).map(lambda content: b"\x89" + content),
    max_size=8,
)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(TREES, st.sampled_from(["w", "w:gz", "w:bz2", "w:xz"]))
def test_a_tree_packed_as_tar(tree: dict[str, bytes], mode: str) -> None:
    for layout in (tarfile.PAX_FORMAT, tarfile.GNU_FORMAT):
        file = io.BytesIO()
        with tarfile.open(mode=mode, fileobj=file, format=layout) as archive:  # type: ignore[call-overload]
            for name, content in tree.items():
                archive.addfile(member(name, len(content)), io.BytesIO(content))
        assert read(file.getvalue()) == tree


@settings(derandomize=True, deadline=None, max_examples=100)
@given(
    TREES,
    st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA]),
)
def test_a_tree_packed_as_zip(tree: dict[str, bytes], method: int) -> None:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in tree.items():
            archive.writestr(name, content)
    assert read(file.getvalue()) == tree


@pytest.mark.parametrize("name", ["folder/", "folder\\", "a\\b\\", "é\\"])
def test_folders_in_zips(name: str) -> None:
    data = raw_zip(ZipEntry(name.encode()), ZipEntry(name.encode() + b"1.png", b"a"))
    assert read(data) == {names.archive_path(name + "1.png"): b"a"}
