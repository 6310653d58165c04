"""Which item is next, and which are in somebody's hand: an item is given to one uploader at a time.

A higher priority goes first; among equals the order is that of the queue, or its opposite.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from itertools import islice
from operator import itemgetter
from typing import TYPE_CHECKING

from agent.spool.records import ITEM_COLUMNS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Item
    from agent.spool.reader import Reader
    from agent.workers import Bell

AHEAD = {"oldest": 64, "newest": 4}
OPPOSITE = {"oldest": "newest", "newest": "oldest"}
DUE = """
SELECT id, priority FROM item WHERE state = 'waiting' AND not_before > 0 AND not_before <= ? ORDER BY not_before LIMIT ?
"""
# The index has the oldest of the highest priority first. From the other end it can only be read a priority at a time.
OLDEST = "SELECT id, priority FROM item WHERE state = 'waiting' AND not_before = 0 ORDER BY priority DESC, id LIMIT ?"
LEVEL = """
SELECT priority FROM item WHERE state = 'waiting' AND not_before = 0 AND priority < ? ORDER BY priority DESC LIMIT 1
"""
NEWEST = """
SELECT id, priority FROM item WHERE state = 'waiting' AND not_before = 0 AND priority = ? ORDER BY id DESC LIMIT ?
"""
ITEM = f"SELECT {ITEM_COLUMNS} FROM item WHERE id = ? AND state = 'waiting'"  # noqa: S608 (our own names)
TOGETHER = 16
ITEMS = f"SELECT {ITEM_COLUMNS} FROM item WHERE id IN ({', '.join('?' * TOGETHER)}) AND state = 'waiting'"  # noqa: S608 (our own names)
CURRENT_S = 0.05  # another process that ends an item within that comes as late as if it had been claimed already
ABOVE_ALL = 10
NEXT = "SELECT id, not_before FROM item WHERE state = 'waiting' AND not_before > 0 ORDER BY not_before LIMIT ?"


class Claims:
    """Hands out what is due; knows its own process's hands, which are all there are: only the owner drains."""

    def __init__(self, reader: Reader, root: Path, *, order: str, clock: Clock, bell: Bell) -> None:
        self._reader = reader
        self._root = root
        self._order = order
        self._clock = clock
        self._bell = bell
        self._lock = threading.Lock()
        self._claimed: set[int] = set()
        self._ahead: deque[int] = deque()
        self._rows: dict[int, sqlite3.Row] = {}
        self._rows_until = 0.0
        self._least = ABOVE_ALL

    def next(self, *, other_end: bool) -> Item | None:
        """Claim the next item that is due, or None; `other_end` asks for the one that would come last."""
        with self._lock:
            ahead = deque[int]() if other_end else self._ahead
            while True:
                if not ahead:
                    ahead.extend(self._look_ahead(other_end=other_end))
                if not ahead:
                    return None
                item_id = ahead.popleft()
                if item_id in self._claimed:
                    continue  # put forward by another process between the two looks ahead, so it was seen twice
                row = self._reader.one(ITEM, item_id) if other_end else self._row(item_id)
                if row is not None:
                    item = self._reader.made(row, self._root)
                    self._claimed.add(item_id)
                    return item

    def next_due(self) -> float | None:
        """Return when, on the boot clock, the next deferred and unclaimed item is due; None where there is none."""
        with self._lock:
            rows = self._reader.all(NEXT, len(self._claimed) + 1)
            return next((row["not_before"] for row in rows if row["id"] not in self._claimed), None)

    def in_hand(self) -> frozenset[int]:
        """Return what is claimed just now."""
        with self._lock:
            return frozenset(self._claimed)

    def settle(self, items: Iterable[int]) -> None:
        """Let claims go, their items' fate being on record."""
        with self._lock:
            for item_id in items:
                self._claimed.discard(item_id)
                self._rows.pop(item_id, None)
        self._bell.ring()

    def give_back(self, item_id: int) -> None:
        """Let a claim go untouched: the item has its place in the order again."""
        with self._lock:
            self._claimed.discard(item_id)
            self._rows.pop(item_id, None)
            self._ahead.clear()
        self._bell.ring()

    @contextmanager
    def withheld(self, items: Iterable[int]) -> Iterator[list[int]]:
        """Keep items out of uploaders' hands while the block runs; yields those that are in no hand already."""
        with self._lock:
            free = [item_id for item_id in items if item_id not in self._claimed]
            self._claimed.update(free)
        try:
            yield free
        finally:
            self.settle(free)

    def make_way(self, priority: int) -> None:
        """Look ahead anew where something came in that goes before what was seen to be next."""
        with self._lock:
            if self._ahead and priority > self._least:
                self._ahead.clear()

    def _row(self, item_id: int) -> sqlite3.Row | None:
        """Return an item's row, read along with those of the next: where many wait, one question for each is dear."""
        now = self._clock.boot()
        if item_id not in self._rows or now >= self._rows_until:
            wanted = [item_id, *islice(self._ahead, TOGETHER - 1)]
            rows = self._reader.all(ITEMS, *wanted, *[item_id] * (TOGETHER - len(wanted)))
            self._rows, self._rows_until = {row[0]: row for row in rows}, now + CURRENT_S
        return self._rows.pop(item_id, None)

    def _look_ahead(self, *, other_end: bool) -> list[int]:
        # From the other end one is taken at a time, and what comes next there is looked up when it is wanted.
        wanted = 1 if other_end else AHEAD[self._order]
        limit = wanted + len(self._claimed)
        due = self._reader.all(DUE, self._clock.boot(), limit)
        order = OPPOSITE[self._order] if other_end else self._order
        ready = self._reader.all(OLDEST, limit) if order == "oldest" else self._newest(limit)
        rows = (*ready, *due) if other_end else (*due, *ready)
        free = [(row[1], row[0]) for row in rows if row[0] not in self._claimed]
        found = sorted(free, key=itemgetter(0), reverse=True)[:wanted]  # of one priority, they keep their order
        if not other_end:
            self._least = found[-1][0] if found else ABOVE_ALL
        return [item_id for _, item_id in found]

    def _newest(self, limit: int) -> list[sqlite3.Row]:
        found: list[sqlite3.Row] = []
        level: sqlite3.Row | None = None
        while len(found) < limit:
            level = self._reader.one(LEVEL, ABOVE_ALL if level is None else level[0])
            if level is None:
                break
            found += self._reader.all(NEWEST, level[0], limit - len(found))
        return found
