"""What people ask of the queue, by rows: it works beside a running daemon, which notices within seconds.

Nothing here takes the owner's lock. An item that the daemon is uploading may go as well: when its answer comes,
there is no row to settle, and nothing is counted twice.
"""

from __future__ import annotations

import json
import os
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from agent.clock import utc_text
from agent.errors import AgentError, Wait
from agent.spool import ledger
from agent.spool.discard import discard
from agent.spool.durable import remove
from agent.spool.reader import Reader
from agent.spool.schema import INDEX

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from agent.spool.commits import Commits
    from agent.spool.discard import Discarded
    from agent.spool.selection import Selection

BY_HAND = "dropped by hand"
BATCH = 500  # items of one transaction: the daemon's own commits wait for it
PAUSED = "paused_since"
FLUSHES = "flushes"
STANDING = "SELECT key, value FROM meta WHERE key IN ('paused_since', 'flushes')"
FORGET = "DELETE FROM leftover WHERE item_id IN (SELECT value FROM json_each(?))"
NEXT_FLUSH = """
INSERT INTO meta VALUES (?, '1') ON CONFLICT(key) DO UPDATE SET value = CAST(value AS INTEGER) + 1
"""


@dataclass(frozen=True, slots=True)
class Standing:
    """What holds until it is taken back: since when uploads rest by hand, and how many flushes were asked for."""

    paused_since: str | None = None
    flushes: int = 0


@dataclass(frozen=True, slots=True)
class Retried:
    """What a retry did: items out of quarantine, deferred ones that are due now, and those that cannot be sent."""

    requeued: int
    hurried: int
    unfit: int


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a drop did; `left` counts files that are still there, which the daemon removes when it can."""

    items: int = 0
    size: int = 0
    left: int = 0


def read_standing(reader: Reader) -> Standing:
    """Return the orders that stand."""
    found = {row["key"]: row["value"] for row in reader.all(STANDING)}
    return Standing(found.get(PAUSED), int(found.get(FLUSHES, 0)))


class Orders:
    """Carries out what was asked; every method is durable when it returns."""

    def __init__(self, commits: Commits, root: Path) -> None:
        self._commits = commits
        self._root = root

    def retry(self, selection: Selection) -> Retried:
        """Let quarantined items wait again, and make deferred ones due; attempts that were spent stay spent.

        What was quarantined as no picture at all has no metadata to send; it stays where it is.
        """
        condition, values = selection.where()

        def settle(connection: sqlite3.Connection) -> Retried:
            unfit = connection.execute(
                f"SELECT count(*) FROM item WHERE {condition} AND state = 'quarantined' AND metadata = ''",  # noqa: S608 (own clauses)
                values,
            ).fetchone()[0]
            hurried = connection.execute(
                f"UPDATE item SET not_before = 0 WHERE {condition} AND state = 'waiting' AND not_before > 0",  # noqa: S608 (own clauses)
                values,
            ).rowcount
            requeued = connection.execute(
                f"UPDATE item SET state = 'waiting', reason = NULL, not_before = 0 WHERE {condition} "  # noqa: S608 (own clauses)
                "AND state = 'quarantined' AND metadata <> '' RETURNING source, size",
                values,
            ).fetchall()
            for row in requeued:
                ledger.count(connection, row["source"], ledger.QUARANTINED, -row["size"], items=-1)
            return Retried(len(requeued), hurried, unfit)

        return self._commits.run(settle)

    def drop(self, selection: Selection) -> Dropped:
        """Give items up for good, their originals left alone; record first, then remove their files."""
        total = Dropped()
        batch = self._discard(selection, [])
        while batch:
            gone = [one for one in batch if _remove(one)]
            total = Dropped(
                total.items + len(batch),
                total.size + sum(one.size for one in batch),
                total.left + len(batch) - len(gone),
            )
            batch = self._discard(selection, gone)
        return total

    def pause(self, now: datetime) -> str:
        """Have uploads rest until `resume`, also across restarts; return since when they do."""

        def settle(connection: sqlite3.Connection) -> str:
            connection.execute("INSERT OR IGNORE INTO meta VALUES (?, ?)", (PAUSED, utc_text(now)))
            return str(connection.execute("SELECT value FROM meta WHERE key = ?", (PAUSED,)).fetchone()[0])

        return self._commits.run(settle)

    def resume(self) -> bool:
        """End a pause; tell whether there was one."""
        return self._commits.run(
            lambda connection: connection.execute("DELETE FROM meta WHERE key = ?", (PAUSED,)).rowcount == 1
        )

    def flush(self) -> int:
        """Forget every wait, the items' and the link's; return how many items had one."""

        def settle(connection: sqlite3.Connection) -> int:
            connection.execute(NEXT_FLUSH, (FLUSHES,))
            return connection.execute(
                "UPDATE item SET not_before = 0 WHERE state = 'waiting' AND not_before > 0"
            ).rowcount

        return self._commits.run(settle)

    def _discard(self, selection: Selection, gone: Sequence[Discarded]) -> list[Discarded]:
        """Take the next batch out of the queue; `gone` are those of the last one whose files are no more.

        Their removal is flushed before it is forgotten: a power cut must not bring back what a person dropped.
        """
        condition, values = selection.where()

        def settle(connection: sqlite3.Connection) -> list[Discarded]:
            connection.execute(FORGET, (json.dumps([one.id for one in gone]),))
            return discard(connection, self._root, condition, values, reason=BY_HAND, limit=BATCH)

        return self._commits.run(settle, {path.parent for one in gone for path in one.paths})


def _remove(one: Discarded) -> bool:
    """Remove an item's files; false where that is left to the daemon.

    A picture that is not to be seen may lie on a mount of the daemon's own: then its row stays, for the daemon.
    """
    try:
        seen = one.paths[0].exists()
        for path in one.paths:
            remove(path)
    except (OSError, Wait):
        return False
    return seen


@contextmanager
def beside(directory: Path) -> Iterator[Reader]:
    """Open a spool for a look, as another process than its owner; raises `AgentError` where there is none."""
    index = directory / INDEX
    try:
        index.stat()
        readable = os.access(index, os.R_OK | os.W_OK)
    except FileNotFoundError:
        raise AgentError(f"there is no queue at {directory} yet", remedy="It begins with: acusight-agent run") from None
    except PermissionError:
        readable = False
    if not readable:
        raise AgentError(f"you may not open the spool {directory}", remedy="Run this as the agent's user, or as root.")
    with closing(Reader(directory)) as reader:
        yield reader
