"""The SQLite file that jobs are recorded in: its tables, transactions and errors."""

import logging
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from api.errors import JobsUnavailableProblem
from model.files import folder_lock

log = logging.getLogger(__name__)

BUSY_SECONDS = 5.0
ROOM_BYTES = 64 << 10  # two files of 32 KiB at least, its log and that one's index, are made to use the file
VERSION = 1  # of the tables
TABLES = """
CREATE TABLE jobs (
    number INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    key TEXT UNIQUE,
    team TEXT NOT NULL,
    positive TEXT NOT NULL,
    keep_folders INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    state TEXT NOT NULL DEFAULT 'queued',
    created REAL NOT NULL,
    started REAL,
    finished REAL,
    total INTEGER,
    done INTEGER NOT NULL DEFAULT 0,
    unreadable INTEGER NOT NULL DEFAULT 0,
    pixels INTEGER NOT NULL DEFAULT 0,
    model TEXT,
    reason TEXT,
    claims INTEGER NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    available_at REAL NOT NULL DEFAULT 0,
    claimed_at REAL,
    claimed_done INTEGER NOT NULL DEFAULT 0,
    updated REAL
);
CREATE INDEX jobs_by_state ON jobs (state, number);
CREATE TABLE results (
    job INTEGER NOT NULL REFERENCES jobs (number) ON DELETE CASCADE,
    place INTEGER NOT NULL,
    path TEXT NOT NULL,
    prediction REAL,
    out_of_domain TEXT,
    error TEXT,
    PRIMARY KEY (job, place)
) WITHOUT ROWID;
"""


class Database:
    """Each transaction opens the file anew, so that threads and processes share nothing but it.

    A file that is damaged is left as it is: other processes may have it open, and what it records of other
    jobs may be intact. All methods raise JobsUnavailableProblem for errors of SQLite.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @contextmanager
    def transaction(self) -> Iterator[sqlite3.Connection]:
        """A transaction that may write; rolled back if the block raises, else on the disk after it."""
        with self._problems(), closing(self._connect()) as db:
            db.execute("BEGIN IMMEDIATE")
            yield db  # an error closes the connection, which rolls back
            db.execute("COMMIT")

    @contextmanager
    def reading(self) -> Iterator[sqlite3.Connection | None]:
        """A consistent view of the tables, or None if there never was a job."""
        if not self.path.exists():
            yield None
            return
        with self._problems(), closing(self._connect()) as db:
            db.execute("BEGIN")
            yield db

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        db = sqlite3.connect(self.path, timeout=BUSY_SECONDS, isolation_level=None)
        try:
            db.row_factory = sqlite3.Row
            db.execute("PRAGMA synchronous = FULL")  # a commit survives a loss of power
            db.execute("PRAGMA foreign_keys = ON")
            if _version(db) == 0:
                self._create_tables(db)
            if (version := _version(db)) != VERSION:
                raise sqlite3.DatabaseError(f"its tables are of version {version}, not {VERSION}")
        except BaseException:
            db.close()
            raise
        return db

    def _create_tables(self, db: sqlite3.Connection) -> None:
        """Unless another process does it at this moment."""
        with folder_lock(self.path.parent):
            db.execute("PRAGMA journal_mode = WAL")
            if _version(db) == 0:
                db.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")

    @contextmanager
    def _problems(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:  # locked, read-only, no room, too many files open
            cause = "the disk is full" if self._lacks_room() else str(error)
            log.error("%s cannot be used: %s", self.path, cause)
            raise JobsUnavailableProblem(
                f"the record of jobs cannot be used: {cause}; retry later"
            ) from error
        except sqlite3.DatabaseError as error:
            log.error("%s is damaged: %s: stop the service, move the file away, start it", self.path, error)
            raise JobsUnavailableProblem(
                f"the record of jobs is damaged: {error}; the operator has to move it away"
            ) from error

    def _lacks_room(self) -> bool:
        """Whether the disk is full, which SQLite often calls a disk I/O error."""
        with suppress(OSError):
            return shutil.disk_usage(self.path.parent).free < ROOM_BYTES
        return False


def _version(db: sqlite3.Connection) -> int:
    version: int = db.execute("PRAGMA user_version").fetchone()[0]
    return version
