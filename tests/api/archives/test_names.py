import json

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from api.archives import names
from api.errors import BadRequestProblem


@settings(derandomize=True, deadline=None, max_examples=200)
@given(st.binary(), st.binary(), st.sampled_from(["latin-1", "cp437"]))
def test_every_name_is_valid_text_and_different_ones_remain_different(
    one: bytes, other: bytes, fallback: str
) -> None:
    text = names.decode(one, fallback)
    assert json.loads(json.dumps(text)) == text
    text.encode()  # fails for surrogates
    assume(one != other)
    if is_utf8(one) == is_utf8(other):
        assert text != names.decode(other, fallback)


def is_utf8(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


@pytest.mark.parametrize(
    ("written", "decoded"),
    [
        ("é 写真 😀.png".encode(), "é 写真 😀.png"),
        ("é.png".encode("latin-1"), "é.png"),
        ("a\\é.png".encode("latin-1"), "a\\é.png"),
        ("表.png".encode("cp932"), "\x95\uff3c.png"),  # else its base name would be hidden
        ("表\\ソ.png".encode("cp932"), "\x95\uff3c\\\x83\uff3c.png"),
        ("é\\a.png".encode(), "é\\a.png"),
    ],
)
def test_decoded_names(written: bytes, decoded: str) -> None:
    assert names.decode(written) == decoded


LONG = "x" * 251 + ".png"  # 255 characters
WIDE = "写" * 251 + ".png"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("1.png", "1.png"),
        ("./a//b/./1.png", "a/b/1.png"),
        ("a\\b\\1.png", "a/b/1.png"),
        ("a..b/...png", "a..b/...png"),
        ("a\nb.png", "a\nb.png"),
        (" 1.png ", " 1.png "),
        ("", ""),
        ("./", ""),
        (LONG, LONG),
        (WIDE, WIDE),
        ("a/" * 509 + "12.png", "a/" * 509 + "12.png"),
    ],
)
def test_paths_in_archives(name: str, path: str) -> None:
    assert names.archive_path(name) == path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("../1.png", "unsafe path"),
        ("a\\..\\1.png", "unsafe path"),
        ("/1.png", "unsafe path"),
        ("\\\\server\\share\\1.png", "unsafe path"),
        ("C:1.png", "unsafe path"),
        ("1\0.png", "NUL"),
        ("x" + LONG, "255 characters"),
        ("写" + WIDE, "255 characters"),
        ("a/" * 509 + "123.png", "1024 with its folders"),
        ("x" * 1_000_000, "255 characters"),
        ("../" * 1_000_000, "1024 with its folders"),
    ],
)
def test_refused_in_archives(name: str, reason: str) -> None:
    with pytest.raises(BadRequestProblem, match=reason) as caught:
        names.archive_path(name)
    assert len(caught.value.detail) < 300


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("1.png", "1.png"),
        ("a/b/1.png", "a/b/1.png"),
        ("C:\\fakepath\\1.png", "fakepath/1.png"),
        ("C:1.png", "C:1.png"),
        ("/home/me/1.png", "home/me/1.png"),
        ("../../a/./1.png", "a/1.png"),
        ("a//b\\\\1.png", "a/b/1.png"),
        (".hidden.png", ".hidden.png"),
        (LONG, LONG),
    ],
)
def test_paths_in_forms(name: str, path: str) -> None:
    assert names.form_path(name) == path


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("", "no name"),
        ("..", "no name"),
        ("C:\\", "no name"),
        ("1\0.png", "NUL"),
        ("x" + LONG, "255 characters"),
    ],
)
def test_refused_in_forms(name: str, reason: str) -> None:
    with pytest.raises(BadRequestProblem, match=reason):
        names.form_path(name)


@settings(derandomize=True, deadline=None)
@given(st.text(st.sampled_from("ab./\\:C\0é"), max_size=12))
def test_every_path_is_safe(name: str) -> None:
    for path_of in (names.archive_path, names.form_path):
        try:
            path = path_of(name)
        except BadRequestProblem:
            continue
        parts = path.split("/") if path else []
        assert not {"", ".", ".."}.intersection(parts)
        assert "\\" not in path
        assert names.base_name(path) == (parts[-1] if parts else "")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        (".DS_Store", True),
        ("a/._1.png", True),
        ("__MACOSX/a/1.png", True),
        ("a/Thumbs.db", True),
        ("desktop.ini", True),
        (".a/1.png", False),
        ("1.png", False),
        ("a/MACOSX/1.png", False),
    ],
)
def test_system_files(path: str, expected: bool) -> None:
    assert names.is_system_file(path) == expected
