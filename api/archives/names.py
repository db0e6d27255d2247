"""Names of uploaded files: decoded from bytes, and as paths that are safe and within limits."""

import re
from pathlib import PureWindowsPath

from api.errors import BadRequestProblem

MAX_NAME = 255  # characters; the limit of most file systems
MAX_PATH = 1024  # with its folders
# Files and folders that file managers add to archives.
SYSTEM_FILES = {"__MACOSX", "Thumbs.db", "desktop.ini"}
# Shift JIS, GBK and Big5 have characters of two bytes of which the second is that of a backslash.
_SECOND_BYTE = re.compile(r"(?<=[^\x00-\x7f])\\")


def decode(name: bytes, fallback: str = "latin-1") -> str:
    """A name in an archive: UTF-8, or else `fallback`, an encoding in which every byte is a character.

    A backslash that may be half a character becomes U+FF3C, and so does not separate folders.
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        return _SECOND_BYTE.sub("\uff3c", name.decode(fallback))


def archive_path(name: str) -> str:
    """The path of an archive's entry, separated by `/`; empty for the archive's top folder.

    Raises BadRequestProblem for path traversal, and for a name over the limits.
    """
    _check_name(name)
    path = PureWindowsPath(name)  # accepts both slashes, and detects drives
    if path.drive or path.root or ".." in path.parts:
        raise BadRequestProblem(f"the archive holds the unsafe path {name!r}; pack it with plain names")
    return "/".join(path.parts)


def form_path(name: str) -> str:
    """The path of a form's file as the client sent it, without drive, root, `.` and `..`; separated by `/`.

    Raises BadRequestProblem if there is no name, or one over the limits.
    """
    _check_name(name)
    parts = [part for part in re.split(r"[/\\]", name) if part not in ("", ".", "..")]
    if parts and re.fullmatch("[A-Za-z]:", parts[0]):
        del parts[0]
    path = "/".join(parts)
    check_named(path)
    return path


def base_name(path: str) -> str:
    """The name of the file at a path that is separated by `/`, without its folders."""
    return path.rpartition("/")[2]


def is_system_file(path: str) -> bool:
    """Whether the file is hidden, or was added by a file manager."""
    parts = path.split("/")
    return bool(SYSTEM_FILES.intersection(parts)) or parts[-1].startswith(".")


def check_named(path: str) -> None:
    """Raises BadRequestProblem for a file without a name."""
    if not path:
        raise BadRequestProblem("a file of the upload has no name; give each file one")


def _check_name(name: str) -> None:
    parts = re.split(r"[/\\]", name[: MAX_PATH + 1])
    if len(name) > MAX_PATH or max(map(len, parts)) > MAX_NAME:
        raise BadRequestProblem(
            f"the name {name[:40]!r}... is too long; a file's name may have {MAX_NAME} characters, and "
            f"{MAX_PATH} with its folders"
        )
    if "\0" in name:
        raise BadRequestProblem(f"the name {name!r} has a NUL character in it; give the file another one")
