"""Capture times that were written while the clock was wrong, put right once it is known.

What a server may have seen stays as it is, since every attempt sends the same; what an earlier boot labelled, too,
since nothing tells how wrong it was. The file on the disk keeps its name: the row says under which one it goes.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from agent.clock import boot_id, put_right, utc_text
from agent.spool.filenames import upload_filename

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable
    from contextlib import AbstractContextManager

    from agent.clock import Clock
    from agent.spool.commits import Commits
    from agent.spool.reader import Reader

BATCH = 200  # items of one transaction: every put waits for it
UNTRIED = "state = 'waiting' AND attempts = 0 AND outcome_unknown = 0 AND reencoded = 0"
MISTIMED = f"""
SELECT id, source, media_type, captured_at, metadata, boot_s FROM item
WHERE boot_id = ? AND id > ? AND time_trusted = 0 AND boot_s IS NOT NULL AND {UNTRIED} ORDER BY id LIMIT {BATCH}
"""  # noqa: S608 (own clauses)
CORRECT = f"UPDATE item SET captured_at = ?, filename = ?, metadata = ?, time_trusted = 1 WHERE id = ? AND {UNTRIED}"  # noqa: S608 (own clauses)
CONFIRM = f"UPDATE item SET time_trusted = 1 WHERE id = ? AND {UNTRIED}"  # noqa: S608 (own clauses)


class Retiming:
    """Corrects the items of this boot; `withheld` keeps items from uploaders, `retime` rewrites their metadata."""

    def __init__(
        self,
        commits: Commits,
        reader: Reader,
        *,
        clock: Clock,
        withheld: Callable[[Iterable[int]], AbstractContextManager[list[int]]],
        retime: Callable[[str, datetime], str],
    ) -> None:
        self._commits = commits
        self._reader = reader
        self._clock = clock
        self._withheld = withheld
        self._retime = retime

    def batch(self, after: int) -> tuple[int, int | None]:
        """Correct the next items above the id `after`, by the wall clock as it is now, which has to be trusted.

        Returns how many times changed, and the id to go on after, None where nothing is left.
        """
        rows = self._reader.all(MISTIMED, boot_id(), after)
        if not rows:
            return 0, None
        with self._withheld(row["id"] for row in rows) as free:
            ours = [row for row in rows if row["id"] in free]
            corrected = self._commits.run(lambda connection: self._settle(connection, ours)) if ours else 0
        return corrected, rows[-1]["id"] if len(rows) == BATCH else None

    def _settle(self, connection: sqlite3.Connection, rows: list[sqlite3.Row]) -> int:
        wall, boot = self._clock.wall(), self._clock.boot()
        corrected = 0
        for row in rows:
            labelled = datetime.fromisoformat(row["captured_at"])
            true = put_right(labelled, row["boot_s"], wall=wall, boot=boot)
            if true == labelled:
                connection.execute(CONFIRM, (row["id"],))
                continue
            with suppress(ValueError):  # metadata that is none of ours is not rewritten
                corrected += connection.execute(CORRECT, self._values(row, true)).rowcount
        return corrected

    def _values(self, row: sqlite3.Row, true: datetime) -> tuple[object, ...]:
        filename = upload_filename(row["source"], true, row["id"], row["media_type"])
        return utc_text(true), filename, self._retime(row["metadata"], true), row["id"]
