"""Where a notebook's pictures come from: an upload, Google Drive, Kaggle, or what is already there."""

import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Literal, get_args

from training.data.datasets import detect_layout
from training.data.errors import DataError

Source = Literal["upload", "drive", "kaggle", "path"]

CIFAKE = "birdy654/cifake-real-and-ai-generated-synthetic-images"
"""CIFAKE's name at Kaggle."""

DRIVE = Path("/content/drive")
MAX_FILES = 200_000
MAX_BYTES = 4 * 10**9
"""Limits of an archive; CIFAKE has 120,000 files of 100 MB together."""

UNREADABLE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, RuntimeError)
"""What zipfile raises for an archive that is damaged, compressed by another method, or has a password."""

DEEPEST = 2
"""How many folders an archive's tree may lie in."""


def fetch(source: Source, path: str, into: Path = Path("data")) -> Path:
    """The folder of a data set, in one of the layouts of `training.data.datasets`.

    source: `upload`, a ZIP that Colab's user chooses; `drive`, the folder or ZIP at `path` in My Drive;
        `kaggle`, CIFAKE; `path`, the folder or ZIP at `path` on this machine.
    into: the folder that a ZIP is unpacked in. Raises DataError.
    """
    if source not in get_args(Source):
        raise DataError(f"SOURCE is {source!r}: set it to one of {', '.join(get_args(Source))}")
    if source == "upload":
        found = _upload(into)
    elif source == "kaggle":
        found = _download_cifake()
    else:
        found = drive() / path if source == "drive" else Path(path)
        if not path or not found.exists():
            raise DataError(f"there is no {found}: set PATH to a data set's folder or ZIP, or change SOURCE")
    return find_tree(unpack(found, into) if found.is_file() else found)


def drive() -> Path:
    """The user's Drive, which is mounted where it was not. Raises DataError outside Colab."""
    try:
        from google.colab import drive as colab_drive
    except ImportError as error:
        raise DataError(
            "Google Drive can be mounted on Colab only: set SOURCE to path, and untick KEEP_ON_DRIVE"
        ) from error
    colab_drive.mount(str(DRIVE))
    return DRIVE / "MyDrive"


def unpack(archive: Path, into: Path) -> Path:
    """Unpack a ZIP into a new folder in `into`, whatever is there. Returns that folder. Raises DataError.

    Nothing is written outside that folder: zipfile leaves out drives, roots and `..`, and makes no links. An
    entry yields no more bytes than it declares, and these are limited.
    """
    into.mkdir(parents=True, exist_ok=True)
    folder = into / Path(tempfile.mkdtemp(prefix=f"{archive.stem}-", dir=into)).name
    try:
        with zipfile.ZipFile(archive) as entries:
            infos = entries.infolist()
            size = sum(info.file_size for info in infos)
            if len(infos) > MAX_FILES or size > MAX_BYTES:
                raise DataError(
                    f"{archive} has {len(infos)} files of {size} bytes, more than {MAX_FILES} or {MAX_BYTES}"
                )
            entries.extractall(folder)
    except BaseException as error:
        shutil.rmtree(folder)
        if isinstance(error, UNREADABLE):
            raise DataError(f"{archive} cannot be unpacked as a ZIP: {error}") from error
        raise
    return folder


def find_tree(folder: Path) -> Path:
    """The first folder that is a data set: `folder` or one of its subfolders, DEEPEST levels down at most.

    An archive's content often lies in a folder of its own. Raises DataError, which names the layouts.
    """
    try:
        detect_layout(folder)
    except DataError:
        below = next(filter(_is_tree, _subfolders(folder)), None)
        if below is None:
            raise
        return below
    return folder


def _subfolders(folder: Path) -> Iterator[Path]:
    level = [folder]
    for _ in range(DEEPEST):
        level = [path for parent in level for path in sorted(parent.iterdir()) if path.is_dir()]
        yield from level


def _is_tree(folder: Path) -> bool:
    try:
        detect_layout(folder)
    except DataError:
        return False
    return True


def _upload(into: Path) -> Path:
    try:
        from google.colab import files
    except ImportError as error:
        raise DataError("pictures can be uploaded on Colab only: set SOURCE to path or kaggle") from error
    into.mkdir(parents=True, exist_ok=True)
    archive = into / "upload.zip"
    try:
        files.upload_file(str(archive))
    except ValueError as error:
        raise DataError(f"run this cell again and choose one ZIP: {error}") from error
    return archive


def _download_cifake() -> Path:
    try:
        import kagglehub
    except ImportError as error:
        raise DataError(
            "kagglehub is not installed: run `pip install kagglehub`, or change SOURCE"
        ) from error
    return Path(kagglehub.dataset_download(CIFAKE))
