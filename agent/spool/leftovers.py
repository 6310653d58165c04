"""Files whose end is decided and durable, but which may still lie on the disk.

A row names them from the commit that decided until they are gone for good, so that a kill in between costs nothing but
a second look. A removal is not flushed: for a while a power cut can take it back, and without its row a dropped picture
would pass for one that was never put.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

import structlog

from agent.errors import Wait
from agent.spool.durable import remove
from agent.spool.origin import finish
from agent.spool.records import origin_text, read_origin, read_path, stored_inode, stored_path

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Item, Origin
    from agent.spool.commits import Commits
    from agent.spool.reader import Reader

log = structlog.get_logger(__name__)

LEAVE = "INSERT INTO leftover(item_id, path, origin, beside) VALUES (?, ?, ?, ?)"
FORGET = "DELETE FROM leftover WHERE item_id = ?"
UNKNOW = "DELETE FROM known WHERE inode = ? AND size = ? AND mtime_ns = ?"
WRITTEN_S = 60.0  # ext4 writes what it has by itself every 5 s, xfs every 30 s


class Leftovers:
    """Removes them; used by whatever ends an item, from any thread."""

    def __init__(self, commits: Commits, reader: Reader, root: Path, *, clock: Clock) -> None:
        self._commits = commits
        self._reader = reader
        self._root = root
        self._clock = clock
        self._swept: deque[tuple[float, int]] = deque()
        self._taken_away: deque[Origin] = deque()

    def end(self, connection: sqlite3.Connection, items: Iterable[tuple[Item, Origin | None]]) -> set[int]:
        """Take items out of the queue, within a commit; return the ids of those that nobody had settled meanwhile.

        Each with its original, where that may go as well. A question for each item would be half of what its end costs.
        """
        ends = {item.id: (item, origin) for item, origin in items}
        statement = f"DELETE FROM item WHERE id IN ({', '.join('?' * len(ends))}) RETURNING id"  # noqa: S608 (marks)
        ended = {row[0] for row in connection.execute(statement, [*ends])}
        connection.executemany(LEAVE, (self._row(*ends[item_id]) for item_id in ended))
        self.forget(connection)
        return ended

    def _row(self, item: Item, origin: Origin | None) -> tuple[object, ...]:
        beside = stored_path(item.beside, self._root) if item.beside else None
        return item.id, stored_path(item.pathname, self._root), origin_text(origin), beside

    def forget(self, connection: sqlite3.Connection) -> None:
        """Forget what is gone for good; it rides on a commit that is due anyway.

        A watched file that was deleted or moved is no more known, either: one that comes under its name is a new one.
        """
        written = self._clock.boot() - WRITTEN_S
        gone: list[tuple[int]] = []
        while self._swept and self._swept[0][0] <= written:
            gone.append((self._swept.popleft()[1],))
        connection.executemany(FORGET, gone)
        while self._taken_away:
            origin = self._taken_away.popleft()
            connection.execute(UNKNOW, (stored_inode(origin.inode), origin.size, origin.mtime_ns))

    def forget_taken_away(self) -> None:
        """Forget the originals that were deleted or moved just now: the same picture may come again in a second.

        What the disk refuses now, a later commit takes along.
        """
        if self._taken_away:
            with suppress(Wait):
                self._commits.run(self.forget)

    def remove(self, item_id: int, paths: tuple[str | Path | None, ...], origin: Origin | None) -> bool:
        """Remove an ended item's files, and its original where there is one to remove; tell whether they are gone."""
        try:
            # The spool's own files first: an original that refuses to go must not keep them, uncounted.
            for path in paths:
                if path is not None:
                    remove(path)
            if origin is not None and finish(origin):
                self._taken_away.append(origin)
        except Wait as error:
            # The receipt stands; the row in `leftover` brings this back at the next sweep.
            log.warning("removal_failed", item=item_id, path=str(paths[0]), reason=str(error))
            return False
        self._swept.append((self._clock.boot(), item_id))
        return True

    def sweep(self) -> int:
        """Finish what was recorded but not done, by this run or an earlier one; return how many items that was."""
        rows = self._reader.all("SELECT item_id, path, origin, beside FROM leftover")
        gone: list[tuple[int]] = []
        folders: set[Path] = set()
        for row in rows:
            beside = read_path(row["beside"], self._root) if row["beside"] else None
            path, origin = read_path(row["path"], self._root), read_origin(row["origin"])
            if self.remove(row["item_id"], (path, beside), origin):
                gone.append((row["item_id"],))
                folders |= {path.parent, origin.path.parent} if origin else {path.parent}
        if gone:
            self._commits.run(lambda connection: connection.executemany(FORGET, gone), _that_are_there(folders))
        self.forget_taken_away()
        return len(rows)


def _that_are_there(folders: set[Path]) -> set[Path]:
    """Leave out those that an earlier start has removed, or that are not mounted."""
    return {folder for folder in folders if folder.is_dir()}
