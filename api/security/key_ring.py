"""The keys that requests are checked against; they follow their file."""

import logging
import os
import threading
import time
from collections.abc import Iterable
from pathlib import Path

from api.security.key_file import Key, KeyFileError, digest, read_keys

log = logging.getLogger(__name__)

CHECK_SECONDS = 1.0  # between two looks at the file


class KeyRing:
    """The keys of a file. It is read again when it has changed, for which it is looked at once a second.

    So a new or revoked key holds within about a second, in all processes and without a signal. A file that
    is damaged or gone changes nothing, and is told in the log once.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._keys: dict[str, Key] = {}
        self._version: object = None  # of the file that was read last
        self._check_at = 0.0
        self._lock = threading.Lock()

    def load(self) -> None:
        """Read the file. Raises KeyFileError."""
        self._version = _version(self._path)
        self._keys = _by_digest(read_keys(self._path))

    def find(self, text: str | None) -> Key | None:
        """The key whose text this is; None if there is none.

        The digest is looked up. The time that takes tells at most how the digest of what was sent differs
        from those of the file; nobody can choose a text by its digest, nor find a key from one.
        """
        if time.monotonic() >= self._check_at:
            self._follow_file()
        return self._keys.get(digest(text)) if text else None

    def _follow_file(self) -> None:
        if not self._lock.acquire(blocking=False):
            return  # another thread does it
        try:
            self._check_at = time.monotonic() + CHECK_SECONDS
            version = _version(self._path)
            if version == self._version:
                return
            self._version = version
            try:
                self._keys = _by_digest(read_keys(self._path))
            except KeyFileError as error:
                number = len(self._keys)
                log.error("CIFAKE_KEYS_FILE=%s: %s; the former %d keys hold", self._path, error, number)
        finally:
            self._lock.release()


def _version(path: Path) -> object:
    """What differs once the file was written to or replaced; None without a file."""
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size, status.st_ino, status.st_dev


def _by_digest(keys: Iterable[Key]) -> dict[str, Key]:
    return {key.sha256: key for key in keys}
