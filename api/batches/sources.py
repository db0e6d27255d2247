"""The files of a form, as they come with a request and as a job keeps them. Both implement FileSource."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from api.archives import names


class FormFiles:
    """(file name, content) of each file of a form; contents are truncated to one byte over `file_bytes`."""

    def __init__(self, files: list[tuple[str, IO[bytes]]], file_bytes: int) -> None:
        self._files, self._file_bytes = files, file_bytes

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        for name, file in self._files:
            file.seek(0)
            size = self._file_bytes + 1 if max_bytes is None else max_bytes
            yield names.form_path(name), file.read(size)


class StoredFiles:
    """Files that `store_files` wrote: their contents in a row, and a JSON list of [path, size]."""

    def __init__(self, contents: IO[bytes], index: Path) -> None:
        self._contents = contents
        self._index: list[tuple[str, int]] = json.loads(index.read_bytes())

    def iter_files(self, max_bytes: int | None = None) -> Iterator[tuple[str, bytes]]:
        """See FileSource."""
        start = 0
        for path, size in self._index:
            self._contents.seek(start)
            yield path, self._contents.read(size if max_bytes is None else min(size, max_bytes))
            start += size


def store_files(files: Iterable[tuple[str, bytes]], contents: IO[bytes], index: IO[bytes]) -> None:
    """Write files for StoredFiles."""
    sizes = []
    for path, data in files:
        contents.write(data)
        sizes.append((path, len(data)))
    index.write(json.dumps(sizes).encode())
