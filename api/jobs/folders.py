"""The folders of jobs: uploads and results."""

import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO

from api.archives import FileSource, open_archive
from api.batches.options import BatchLimits
from api.batches.report import BatchReport
from api.batches.sources import FormFiles, StoredFiles, store_files
from model.files import atomic_write, remove_partial_files, sync_folder, try_folder_lock

ORPHAN_SECONDS = 3600.0  # much longer than to copy an upload
ADDED_PARTS = ("out_of_domain",)  # of results, which those that earlier versions stored lack


class JobFolder:
    """A job's folder: `upload`, with `index.json` if it is of a form's files, until the job ends; then
    the parts of the result, such as `predictions.json`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def store_upload(self, upload: IO[bytes] | FormFiles) -> int:
        """Create the folder with an archive or a form's files, on the disk. Returns their bytes.

        Raises the Problems of FormFiles, and OSError.
        """
        self.path.mkdir(parents=True)
        try:
            with atomic_write(self.path / "upload") as contents:
                if isinstance(upload, FormFiles):
                    with atomic_write(self.path / "index.json") as index:
                        store_files(upload.iter_files(), contents, index)
                else:
                    upload.seek(0)
                    shutil.copyfileobj(upload, contents, 1 << 20)
            sync_folder(self.path)
            sync_folder(self.path.parent)
        except BaseException:
            self.remove()
            raise
        return self.size()

    @contextmanager
    def open_upload(self, limits: BatchLimits) -> Iterator[FileSource]:
        """The files of the upload. Raises Problem for an archive that is refused, and OSError."""
        with (self.path / "upload").open("rb") as file:
            if (index := self.path / "index.json").exists():
                yield StoredFiles(file, index)
            else:
                with open_archive(file, limits.archive) as archive:
                    yield archive

    def store_report(self, report: BatchReport) -> int:
        """Write the result, on the disk. Returns its bytes."""
        parts = report.parts
        for name, content in parts.items():
            with atomic_write(self.path / f"{name}.json") as file:
                file.write(content)
        sync_folder(self.path)
        return sum(map(len, parts.values()))

    def read(self, name: str) -> bytes:
        """A part of the result, see report.PARTS; `null` if an earlier version had none. Raises OSError."""
        path = self.path / f"{name}.json"
        return b"null" if name in ADDED_PARTS and not path.exists() else path.read_bytes()

    def remove_upload(self) -> None:
        """Of a job that has ended."""
        for name in ("upload", "index.json"):
            with suppress(OSError):  # the clean-up of expired jobs removes it
                (self.path / name).unlink(missing_ok=True)

    def remove(self) -> None:
        """Everything."""
        shutil.rmtree(self.path, ignore_errors=True)

    def size(self) -> int:
        """Bytes of all files."""
        return sum(file.stat().st_size for file in self.path.iterdir())

    @contextmanager
    def lock(self) -> Iterator[bool]:
        """Whether the caller has the folder for itself in the block.

        The lock is gone with its process, however that ends. A folder that is missing is nobody's.
        """
        with ExitStack() as stack:
            try:
                locked = stack.enter_context(try_folder_lock(self.path))
            except FileNotFoundError:
                locked = True
            yield locked


class JobFolders:
    """All of them, in `root`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def __getitem__(self, job_id: str) -> JobFolder:
        return JobFolder(self.root / job_id)

    def new_id(self) -> str:
        """An id that cannot be guessed."""
        return secrets.token_urlsafe(24)

    def remove_orphans(self, ids: set[str]) -> None:
        """Remove old folders of no job, as a crash between an upload and its record leaves them.

        Also what was not written whole in those of jobs.
        """
        for path in self.root.iterdir() if self.root.exists() else ():
            with suppress(FileNotFoundError):  # another worker was faster
                if path.name in ids:
                    remove_partial_files(path, ORPHAN_SECONDS)
                elif path.is_dir() and path.stat().st_mtime < time.time() - ORPHAN_SECONDS:
                    JobFolder(path).remove()
