"""What the choice of pictures keeps in the spool: its counts in the ledger, and what it remembers of what it kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from agent.spool import ledger
from agent.spool.inbox import write_mark, write_progress

if TYPE_CHECKING:
    import sqlite3

    from agent.frame import Position
    from agent.spool.commits import Commits
    from agent.spool.reader import Reader
    from agent.spool.records import Mark

PAST = "INSERT OR REPLACE INTO chosen(source, past) VALUES (?, ?)"


@dataclass(frozen=True, slots=True)
class Entry:
    """What is entered at once: counts by column and reason as (items, bytes), the past, how far a file was read.

    `marks` are watched files that were skipped.
    """

    counts: dict[tuple[str, str], tuple[int, int]] = field(default_factory=dict)
    past: str | None = None
    position: Position | None = None
    marks: tuple[Mark, ...] = ()


class Choices:
    """Writes it in one transaction, however much it is, and reads it at the next start."""

    def __init__(self, commits: Commits, reader: Reader) -> None:
        self._commits = commits
        self._reader = reader

    def enter(self, source: str, entry: Entry) -> None:
        """Make an entry durable."""

        def write(connection: sqlite3.Connection) -> None:
            for (column, reason), (items, size) in entry.counts.items():
                ledger.count(connection, source, column, size, items=items, reason=reason)
            if entry.past is not None:
                connection.execute(PAST, (source, entry.past))
            for mark in entry.marks:
                write_mark(connection, source, mark)
            if entry.position is not None:
                write_progress(connection, source, entry.position)

        self._commits.run(write)

    def past(self, source: str) -> str | None:
        """Return what a source's choice remembered at last, or None."""
        return past_of(self._reader, source)


def past_of(reader: Reader, source: str) -> str | None:
    """Return what a source's choice remembered at last, or None."""
    row = reader.one("SELECT past FROM chosen WHERE source = ?", source)
    return None if row is None else str(row[0])
