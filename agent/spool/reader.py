"""Reads the index on a connection of its own, beside whoever writes: nobody waits for an fsync to look."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING, Any

from agent.errors import SpoolDamaged
from agent.spool.records import item_of, item_values
from agent.spool.schema import connect_read_only, index_error, mark_damaged

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from agent.frame import Item


class Reader:
    """Answers questions from any thread, one at a time; sees what was committed."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._connection = connect_read_only(directory)
        self._lock = threading.Lock()

    def one(self, statement: str, *values: object) -> sqlite3.Row | None:
        """Return the first row, or None."""
        return next(iter(self._rows(statement, values, most=1)), None)

    def all(self, statement: str, *values: object) -> list[sqlite3.Row]:
        """Return all rows; bound them in the statement."""
        return self._rows(statement, values)

    def _rows(self, statement: str, values: Sequence[object], *, most: int | None = None) -> list[sqlite3.Row]:
        with self._lock:
            try:
                cursor = self._connection.execute(statement, values)
                return cursor.fetchall() if most is None else cursor.fetchmany(most)
            except sqlite3.Error as error:
                raise index_error(error, "read the spool's index", self._directory) from error

    def item(self, row: sqlite3.Row, root: Path) -> Item:
        """Make an item of its row; one that makes no sense is damage, and its picture is found without it."""
        return self.made(item_values(row), root)

    def made(self, values: Sequence[Any], root: Path) -> Item:
        """Make an item of its `ITEM_COLUMNS`, as `item` does."""
        try:
            return item_of(values, root)
        except (ValueError, TypeError) as error:
            mark_damaged(self._directory)
            raise SpoolDamaged(f"the spool's index is damaged: item {values[0]} cannot be read: {error}") from error

    def close(self) -> None:
        """Close the connection."""
        with self._lock:
            self._connection.close()
