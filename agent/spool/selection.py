"""Which items of the queue are meant, and a look at them without holding the backlog in memory."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from agent.spool.reader import Reader

# Literals, not parameters: SQLite uses a partial index only where the query itself spells out its condition.
STATES = {"all": "true", "waiting": "state = 'waiting'", "quarantined": "state = 'quarantined'"}
PAGE = 500


@dataclass(frozen=True, slots=True)
class Selection:
    """Items by number, state and source; what is None does not restrict.

    `upto` is the highest number that the asker has seen: what comes in after the question is not meant.
    """

    ids: tuple[int, ...] | None = None
    state: str = "all"
    source: str | None = None
    upto: int | None = None

    def where(self) -> tuple[str, tuple[object, ...]]:
        """Return an SQL condition on the table of items, and its values."""
        clauses = {
            "id IN (SELECT value FROM json_each(?))": None if self.ids is None else json.dumps(self.ids),
            "source = ?": self.source,
            "id <= ?": self.upto,
        }
        used = {clause: value for clause, value in clauses.items() if value is not None}
        return " AND ".join([STATES[self.state], *used]), tuple(used.values())


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a selection holds: items, their bytes, and the highest number among them (0 for none)."""

    items: int
    size: int
    highest: int


def extent(reader: Reader, selection: Selection) -> Extent:
    """Measure a selection."""
    condition, values = selection.where()
    row = reader.one(
        f"SELECT count(*), coalesce(sum(size), 0), coalesce(max(id), 0) FROM item WHERE {condition}",  # noqa: S608 (own clauses)
        *values,
    )
    return Extent(0, 0, 0) if row is None else Extent(*row)


def rows(reader: Reader, selection: Selection, *, limit: int, newest: bool = False) -> Iterator[sqlite3.Row]:
    """Yield up to `limit` rows of a selection in the order of their numbers, read a page at a time."""
    condition, values = selection.where()
    beyond, direction, last = ("<", "DESC", 2**63 - 1) if newest else (">", "ASC", 0)
    statement = f"SELECT * FROM item WHERE {condition} AND id {beyond} ? ORDER BY id {direction} LIMIT ?"  # noqa: S608 (own clauses)
    while limit > 0:
        page = reader.all(statement, *values, last, min(limit, PAGE))
        yield from page
        if len(page) < PAGE:
            return
        limit -= len(page)
        last = page[-1]["id"]


def missing(reader: Reader, ids: tuple[int, ...]) -> list[int]:
    """Return those numbers that no item of the queue has."""
    found = {
        row["id"]
        for row in reader.all("SELECT id FROM item WHERE id IN (SELECT value FROM json_each(?))", json.dumps(ids))
    }
    return sorted(set(ids) - found)
