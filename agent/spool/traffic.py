"""The bytes that were sent, by day, across restarts.

Counted in memory, as they go out, and written now and then as totals: a kill loses the count of a few seconds. A day is
named by its date, so that a clock that jumps back finds what it had counted there.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from agent.errors import SpoolDamaged, Wait

if TYPE_CHECKING:
    import sqlite3

    from agent.clock import Clock
    from agent.spool.commits import Commits
    from agent.spool.reader import Reader

EVERY_S = 5.0
KEPT_DAYS = 70  # two months and some days of a clock that was wrong
PREFIX = "sent "
SENT = "SELECT key, value FROM meta WHERE key GLOB 'sent *'"
WRITE = "INSERT OR REPLACE INTO meta VALUES (?, ?)"
FORGET = """
DELETE FROM meta WHERE key GLOB 'sent *' AND key NOT IN
(SELECT key FROM meta WHERE key GLOB 'sent *' ORDER BY key DESC LIMIT ?)
"""


def read_sent(reader: Reader) -> dict[str, int]:
    """Return the bytes sent by day (`2026-03-14`), as far as they are written down."""
    rows = reader.all(SENT)
    return {row["key"].removeprefix(PREFIX): int(row["value"]) for row in rows if row["value"].isdecimal()}


class Traffic:
    """Counts for the owner of a spool, from any thread."""

    def __init__(self, commits: Commits, reader: Reader, *, clock: Clock) -> None:
        self._commits = commits
        self._clock = clock
        self._lock = threading.Lock()
        self._sent = read_sent(reader)
        self._unwritten: set[str] = set()
        self._written_at = clock.boot()

    @property
    def sent(self) -> dict[str, int]:
        """Return the bytes sent by day; a copy."""
        with self._lock:
            return dict(self._sent)

    def add(self, day: str, count: int) -> None:
        """Count bytes that went out on a day."""
        with self._lock:
            self._sent[day] = self._sent.get(day, 0) + count
            self._unwritten.add(day)

    def save(self, *, now: bool = False) -> None:
        """Write down what is not written yet, no more often than every few seconds unless it has to be `now`.

        A disk that refuses is asked again later: the count goes on in memory.
        """
        with self._lock:
            at = self._clock.boot()
            if not self._unwritten or not (now or at - self._written_at >= EVERY_S):
                return
            self._written_at = at
            totals = {day: self._sent[day] for day in self._unwritten}
            self._unwritten = set()
        try:
            self._commits.run(lambda connection: _write(connection, totals))
        except SpoolDamaged:
            raise
        except Wait:
            with self._lock:
                self._unwritten |= set(totals)


def _write(connection: sqlite3.Connection, totals: dict[str, int]) -> None:
    connection.executemany(WRITE, [(f"{PREFIX}{day}", str(total)) for day, total in totals.items()])
    connection.execute(FORGET, (KEPT_DAYS,))
