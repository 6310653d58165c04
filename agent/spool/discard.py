"""Giving items up: out of the queue and into the ledger in one transaction, their files named until they are gone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.spool import ledger
from agent.spool.records import read_path

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

QUARANTINE_FULL = "quarantine full"
LEFTOVER = "INSERT INTO leftover(item_id, path, beside) VALUES (?, ?, ?)"


@dataclass(frozen=True, slots=True)
class Discarded:
    """An item that is out of the queue, and its files, which may go once that is durable."""

    id: int
    source: str
    filename: str
    size: int
    paths: tuple[Path, ...]


def discard(
    connection: sqlite3.Connection, root: Path, condition: str, values: tuple[object, ...], *, reason: str, limit: int
) -> list[Discarded]:
    """Drop the first `limit` items that an SQL condition holds for, waiting or quarantined; originals stay."""
    rows = connection.execute(
        f"DELETE FROM item WHERE id IN (SELECT id FROM item WHERE {condition} ORDER BY id LIMIT ?) "  # noqa: S608 (callers pass own clauses)
        "RETURNING id, source, filename, size, state, path, beside",
        (*values, limit),
    ).fetchall()
    for row in rows:
        connection.execute(LEFTOVER, (row["id"], row["path"], row["beside"]))
        if row["state"] == "quarantined":
            ledger.count(connection, row["source"], ledger.QUARANTINED, -row["size"], items=-1)
        ledger.count(connection, row["source"], ledger.DROPPED, row["size"], reason=reason)
    return [_discarded(row, root) for row in rows]


def _discarded(row: sqlite3.Row, root: Path) -> Discarded:
    paths = tuple(read_path(stored, root) for stored in (row["path"], row["beside"]) if stored)
    return Discarded(row["id"], row["source"], row["filename"], row["size"], paths)


def set_aside(
    connection: sqlite3.Connection, root: Path, item_id: int, source: str, size: int, reason: str, *, most: int
) -> None:
    """Quarantine an item that has just been inserted.

    The files of what it crowds out go with the next sweep.
    """
    connection.execute("UPDATE item SET state = 'quarantined', reason = ? WHERE id = ?", (reason, item_id))
    ledger.count(connection, source, ledger.QUARANTINED, size)
    bound_quarantine(connection, root, most, newcomer=item_id)


def bound_quarantine(connection: sqlite3.Connection, root: Path, most: int, *, newcomer: int) -> list[Discarded]:
    """Drop the oldest of the quarantine beyond `most`, but not the one that came just now."""
    held = connection.execute("SELECT count(*) FROM item WHERE state = 'quarantined'").fetchone()[0]
    condition = "state = 'quarantined' AND id <> ?"
    limit = max(0, held - most)
    return discard(connection, root, condition, (newcomer,), reason=QUARANTINE_FULL, limit=limit)
