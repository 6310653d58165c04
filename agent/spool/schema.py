"""The spool's index: its tables, and how a connection to it is opened.

WAL with synchronous=FULL lost no acknowledged row in power cuts; NORMAL lost up to 735. SQLite may answer the
journal pragma with another mode than was asked for, so the answer is read and checked.
"""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from agent.errors import SpoolDamaged, SpoolFull, SpoolUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from agent.errors import AgentError

VERSION = 3
INDEX = "index.sqlite3"
DAMAGED = "index.damaged"  # left beside an index that turned out to be damaged while in use
PAGE_BYTES = 1024  # a commit writes whole pages for a few rows: of 2 KB each, they were a third more to write
UNDECODABLE = "Could not decode to UTF-8"  # Python's own answer to damaged text, without an SQLite code
CORRUPT = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT})

TABLES = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

-- One row an item that waits or is quarantined. `path` is relative to the spool, or absolute where the picture was
-- adopted beside its original. `not_before` is on the boot clock; 0 is "ready". `boot_s` is the moment of the capture
-- on the boot clock of `boot_id`; `time_trusted` is 0 where the clock that gave `captured_at` may have been wrong.
-- What has a higher `priority` (0 to 9) goes first, and gives way last.
CREATE TABLE item(
    id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    filename TEXT NOT NULL,
    path BLOB NOT NULL,
    media_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    metadata TEXT NOT NULL,
    captured_at TEXT NOT NULL,
    state TEXT NOT NULL DEFAULT 'waiting',
    not_before REAL NOT NULL DEFAULT 0,
    attempts INTEGER NOT NULL DEFAULT 0,
    outcome_unknown INTEGER NOT NULL DEFAULT 0,
    reencoded INTEGER NOT NULL DEFAULT 0,
    reason TEXT,
    origin TEXT,
    beside BLOB,
    boot_id TEXT,
    boot_s REAL,
    time_trusted INTEGER,
    priority INTEGER NOT NULL DEFAULT 5
);
CREATE INDEX item_due ON item(not_before, priority DESC, id) WHERE state = 'waiting';
CREATE INDEX item_quarantined ON item(id) WHERE state = 'quarantined';
CREATE INDEX item_mistimed ON item(boot_id, id) WHERE time_trusted = 0 AND boot_s IS NOT NULL;

CREATE TABLE receipt(
    item_id INTEGER PRIMARY KEY,
    source TEXT NOT NULL,
    filename TEXT NOT NULL,
    size INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    result TEXT NOT NULL,
    image_id TEXT,
    batch_id TEXT,
    storage_key TEXT,
    attempts INTEGER NOT NULL,
    outcome_unknown INTEGER NOT NULL,
    captured_at TEXT NOT NULL,
    delivered_at TEXT NOT NULL,
    origin BLOB
);

-- Files whose end is decided and durable, but that may still lie on the disk.
CREATE TABLE leftover(item_id INTEGER PRIMARY KEY, path BLOB NOT NULL, origin TEXT, beside BLOB);

-- Watched files that were adopted, so that a kept one is not sent again, and those that the choice left out, with what
-- it was that `skipped` them. The inode finds a renamed file.
CREATE TABLE known(
    source TEXT NOT NULL,
    path BLOB NOT NULL,
    inode INTEGER NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    sha256 TEXT NOT NULL,
    skipped TEXT,
    PRIMARY KEY (source, path)
) WITHOUT ROWID;
CREATE INDEX known_inode ON known(inode);

CREATE TABLE progress(
    source TEXT NOT NULL,
    path TEXT NOT NULL,
    fingerprint TEXT NOT NULL,
    next_frame INTEGER NOT NULL,
    ended INTEGER NOT NULL,
    PRIMARY KEY (source, path)
) WITHOUT ROWID;

-- What a source's choice remembers of what it kept: prints, counts by hour and day, when a class was seen last.
CREATE TABLE chosen(source TEXT PRIMARY KEY, past TEXT NOT NULL) WITHOUT ROWID;

-- The ledger: per source, captured = delivered + waiting + quarantined + dropped, in items and in bytes. What was
-- skipped was never captured; what was chosen by a rule is among what was captured.
CREATE TABLE tally(
    source TEXT NOT NULL,
    what TEXT NOT NULL,
    reason TEXT NOT NULL DEFAULT '',
    items INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    PRIMARY KEY (source, what, reason)
) WITHOUT ROWID;
"""

# What brings an index of the format before to this one; in place, so that a new release keeps the backlog.
MIGRATIONS = {
    1: """
    ALTER TABLE item ADD COLUMN boot_id TEXT;
    ALTER TABLE item ADD COLUMN boot_s REAL;
    ALTER TABLE item ADD COLUMN time_trusted INTEGER;
    CREATE INDEX item_mistimed ON item(boot_id, id) WHERE time_trusted = 0 AND boot_s IS NOT NULL;
    """,
    2: """
    ALTER TABLE item ADD COLUMN priority INTEGER NOT NULL DEFAULT 5;
    DROP INDEX item_due;
    CREATE INDEX item_due ON item(not_before, priority DESC, id) WHERE state = 'waiting';
    ALTER TABLE known ADD COLUMN skipped TEXT;
    CREATE TABLE chosen(source TEXT PRIMARY KEY, past TEXT NOT NULL) WITHOUT ROWID;
    """,
}


@contextmanager
def index_errors(doing: str, directory: Path | None = None) -> Iterator[None]:
    """Translate what SQLite answers into the agent's own errors.

    Damage deep in a file does not show when it is opened: a mark in `directory` has the next start salvage it.
    """
    try:
        yield
    except sqlite3.Error as error:
        raise index_error(error, doing, directory) from error


def index_error(error: sqlite3.Error, doing: str, directory: Path | None = None) -> AgentError:
    """Make the agent's own error of what SQLite answers, as `index_errors` raises it."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in CORRUPT or UNDECODABLE in str(error):
        if directory is not None:
            mark_damaged(directory)
        return SpoolDamaged(f"the spool's index is damaged: {error}")
    if code == sqlite3.SQLITE_FULL:
        return SpoolFull(f"cannot {doing}: {error}", remedy="Free some space on the spool's disk.")
    return SpoolUnavailable(f"cannot {doing}: {error}", remedy="Check the spool's disk.")


def mark_damaged(directory: Path) -> None:
    """Have the next start salvage the index."""
    with suppress(OSError):
        (directory / DAMAGED).touch()


def connect(directory: Path) -> sqlite3.Connection:
    """Open the index of a spool for writing, creating it where there is none."""
    path = directory / INDEX
    with index_errors(f"open the spool's index {path}"):
        connection = sqlite3.connect(path, timeout=5.0, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path)
        except BaseException:
            connection.close()
            raise
    return connection


def connect_read_only(directory: Path) -> sqlite3.Connection:
    """Open the index of a spool for reading beside a running daemon, or without one."""
    path = directory / INDEX
    with index_errors(f"read the spool's index {path}"):
        connection = sqlite3.connect(
            f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=5.0, isolation_level=None, check_same_thread=False
        )
        connection.row_factory = sqlite3.Row
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    connection.row_factory = sqlite3.Row
    connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")  # of a new index; one that is there keeps what it has
    mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
    if mode != "wal":
        raise SpoolUnavailable(
            f"the spool's index {path} stays in journal mode '{mode}'",
            remedy="Put spool.dir on a local file system.",
        )
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA cache_size = -1024")
    version = _version(connection)
    while version in MIGRATIONS:
        version = _migrate(connection, version)
    if version == 0 and not connection.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone():
        connection.executescript(f"BEGIN IMMEDIATE; {TABLES} PRAGMA user_version = {VERSION}; COMMIT;")
    elif version != VERSION:
        raise SpoolDamaged(f"the spool's index {path} has format {version}, this agent knows format {VERSION}")
    # A damaged first page shows here, not at the first picture.
    connection.execute("SELECT max(id) FROM item").fetchone()
    connection.execute("SELECT count(*) FROM tally").fetchone()


def _migrate(connection: sqlite3.Connection, version: int) -> int:
    """Bring an index to the next format, all or nothing; return the format it has then."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        if _version(connection) == version:  # else another process was quicker
            for statement in MIGRATIONS[version].split(";"):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {version + 1}")
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):
            connection.execute("ROLLBACK")
        raise
    return _version(connection)


def _version(connection: sqlite3.Connection) -> int:
    return int(connection.execute("PRAGMA user_version").fetchone()[0])
