"""A damaged index is set aside, never deleted, and what can be read of it moves into a new one.

Rows are read upwards until the damage, then downwards until the damage. Pictures whose rows were lost are found by
`reconcile`, from the folder alone. A mark beside the index names where it was put until the new one is complete, so
that a salvage that was cut off starts again from the same rows.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from typing import TYPE_CHECKING

import structlog

from agent.errors import SpoolDamaged
from agent.spool import ledger
from agent.spool.durable import disk_errors, fsync_directory, remove, write_file
from agent.spool.records import read_item
from agent.spool.schema import DAMAGED, INDEX, connect, index_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

log = structlog.get_logger(__name__)

# In this order, so that the totals can be made true at the end. The key orders the two passes.
TABLES = {
    "meta": "key",
    "item": "id",
    "receipt": "item_id",
    "leftover": "item_id",
    "known": "path",
    "progress": "path",
    "chosen": "source",
}
SUFFIXES = ("-wal", "-shm", "")
ASIDE = [f"damaged-{number:02d}.sqlite3" for number in range(100)]

# The last sequence numbers may be lost, and with them which of them lie in hidden folders of watched directories.
# The new index counts on from further away than a device gets in years.
SEQUENCE_LEAP = 1_000_000_000
HIGHEST = """
SELECT max(coalesce((SELECT max(id) FROM item), 0), coalesce((SELECT max(item_id) FROM receipt), 0),
coalesce((SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'next_sequence'), 0))
"""


def connect_or_salvage(directory: Path) -> tuple[sqlite3.Connection, bool]:
    """Open the index for its owner; a damaged one is replaced by what can be read of it, and the answer is true."""
    reason = "it was damaged while in use, or its salvage was cut off"
    if not (directory / DAMAGED).exists():
        try:
            return connect(directory), False
        except SpoolDamaged as damage:
            reason = str(damage)
    aside = set_aside(directory)
    connection = connect(directory)
    try:
        saved = salvage(aside, connection, directory)
        remove(directory / DAMAGED)
    except BaseException:
        connection.close()
        raise
    log.error("spool_salvaged", reason=reason, set_aside=str(aside), **saved)
    return connection, True


def set_aside(directory: Path) -> Path:
    """Rename the index and its journal out of the way; return the new name of the index."""
    mark = directory / DAMAGED
    with disk_errors("set aside the damaged index in", directory):
        name = mark.read_text(encoding="ascii", errors="replace") if mark.exists() else ""
        if name not in ASIDE:
            name = _free_name(directory)
            write_file(directory / f"{DAMAGED}.tmp", mark, (name.encode(),))
            fsync_directory(directory)
        aside = directory / name
        is_aside = aside.exists()
        # The index itself goes last: it is aside when its journal is. What lies in its place then is unfinished.
        for suffix in SUFFIXES:
            with suppress(FileNotFoundError):
                index = directory / f"{INDEX}{suffix}"
                index.unlink() if is_aside else index.rename(f"{aside}{suffix}")
    fsync_directory(directory)
    return aside


def salvage(aside: Path, connection: sqlite3.Connection, root: Path) -> dict[str, int]:
    """Copy every readable row of a damaged index into a new one, in one transaction; return how many of each kind."""
    saved = dict.fromkeys(TABLES, 0)
    with index_errors("salvage the spool's index"):
        connection.execute("BEGIN IMMEDIATE")
        for table, key in TABLES.items():
            for row in _readable(aside, table, key):
                if table == "item" and not _is_sound(row, root):
                    continue
                saved[table] += _insert(connection, table, row)
        for row in _readable(aside, "tally", "source"):
            if row["what"] != ledger.CAPTURED:
                _insert(connection, "tally", row)
        _balance(connection)
        following = connection.execute(HIGHEST).fetchone()[0] + SEQUENCE_LEAP
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('next_sequence', ?)", (str(following),))
        connection.execute("COMMIT")
    return saved


def _free_name(directory: Path) -> str:
    for name in ASIDE:
        if not (directory / name).exists():
            return name
    for suffix in SUFFIXES:
        (directory / f"{ASIDE[-1]}{suffix}").unlink(missing_ok=True)
    return ASIDE[-1]


def _readable(aside: Path, table: str, key: str) -> Iterator[sqlite3.Row]:
    """Yield the rows before the damage, then those behind it; the insert ignores what comes twice."""
    for direction in ("ASC", "DESC"):
        with suppress(sqlite3.Error), closing(sqlite3.connect(aside, timeout=5.0)) as damaged:
            damaged.row_factory = sqlite3.Row
            yield from damaged.execute(f"SELECT * FROM {table} ORDER BY {key} {direction}")  # noqa: S608 (own names)


def _is_sound(row: sqlite3.Row, root: Path) -> bool:
    """Tell whether a row makes an item whose picture is there; where not, the folder knows better."""
    try:
        item = read_item(row, root)
        return item.path.stat().st_size == item.size
    except (OSError, ValueError, TypeError, LookupError):
        return False


def _insert(connection: sqlite3.Connection, table: str, row: sqlite3.Row) -> int:
    columns = ", ".join(row.keys())
    marks = ", ".join("?" * len(row.keys()))
    with suppress(sqlite3.IntegrityError, sqlite3.InterfaceError):
        return connection.execute(f"INSERT OR IGNORE INTO {table}({columns}) VALUES ({marks})", tuple(row)).rowcount  # noqa: S608 (own names)
    return 0


def _balance(connection: sqlite3.Connection) -> None:
    """Make the ledger true again for what was saved: captured is what the ends and the items add up to."""
    # An old page of items beside a new one of receipts: what has met its end does not wait.
    connection.execute("DELETE FROM item WHERE id IN (SELECT item_id FROM receipt UNION SELECT item_id FROM leftover)")
    connection.execute("DELETE FROM tally WHERE what = 'quarantined'")
    connection.execute(
        "INSERT INTO tally SELECT source, 'quarantined', '', count(*), sum(size) FROM item "
        "WHERE state = 'quarantined' GROUP BY source"
    )
    connection.execute(
        "INSERT INTO tally SELECT source, 'captured', '', sum(n), sum(b) FROM ("
        "SELECT source, items AS n, bytes AS b FROM tally WHERE what IN ('delivered', 'dropped') "
        "UNION ALL SELECT source, 1, size FROM item) GROUP BY source"
    )
