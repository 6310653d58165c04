"""The way out of the spool: claim an item, then say what became of it.

Record first, delete second: the receipt is durable before any file goes (I1), and a row in `leftover` names the
files until they are gone, so that a kill in between costs nothing but a second look.
"""

from __future__ import annotations

import hashlib
import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from agent.clock import utc_text
from agent.errors import Wait
from agent.frame import JPEG
from agent.spool import ledger
from agent.spool.discard import QUARANTINE_FULL, bound_quarantine
from agent.spool.durable import remove
from agent.spool.origin import finish
from agent.spool.records import origin_text, read_origin, read_path, smaller_path, stored_path
from agent.spool.shelf import Shelf

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from pathlib import Path

    from agent.clock import Clock
    from agent.frame import Item, Origin, Receipt
    from agent.spool.commits import Commits
    from agent.spool.discard import Discarded
    from agent.spool.reader import Reader
    from agent.workers import Bell

log = structlog.get_logger(__name__)

AHEAD = {"oldest": 64, "newest": 4}
DIRECTION = {"oldest": "ASC", "newest": "DESC"}
OPPOSITE = {"oldest": "newest", "newest": "oldest"}
DUE = "SELECT id FROM item WHERE state = 'waiting' AND not_before > 0 AND not_before <= ? ORDER BY not_before LIMIT ?"
READY = "SELECT id FROM item WHERE state = 'waiting' AND not_before = 0 ORDER BY id {} LIMIT ?"
NEXT = "SELECT id, not_before FROM item WHERE state = 'waiting' AND not_before > 0 ORDER BY not_before LIMIT ?"
ANY_READY = "SELECT 1 FROM item WHERE state = 'waiting' AND not_before = 0 LIMIT 1"
WAITING = "SELECT 1 FROM item WHERE state = 'waiting' LIMIT 1"
SET_ASIDE = """
UPDATE item SET state = 'quarantined', reason = ?, attempts = attempts + 1 WHERE id = ? AND state = 'waiting'
"""
# By their order, not by their numbers: those have gaps, and leap at a salvage.
PRUNE = "DELETE FROM receipt WHERE item_id <= (SELECT item_id FROM receipt ORDER BY item_id DESC LIMIT 1 OFFSET ?)"
RECEIPT = """
INSERT INTO receipt(item_id, source, filename, size, sha256, result, image_id, batch_id, storage_key, attempts,
outcome_unknown, captured_at, delivered_at, origin) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""


class Outbox:
    """Hands each waiting item to one uploader at a time, and settles it."""

    def __init__(
        self,
        commits: Commits,
        reader: Reader,
        root: Path,
        *,
        order: str,
        clock: Clock,
        bell: Bell,
        admit_copy: Callable[[int], None],
        quarantine_max_items: int = 1000,
    ) -> None:
        self._commits = commits
        self._reader = reader
        self._root = root
        self._order = order
        self._clock = clock
        self._bell = bell
        self._admit_copy = admit_copy
        self._quarantine_max_items = quarantine_max_items
        self._lock = threading.Lock()
        self._claimed: set[int] = set()
        self._ahead: deque[int] = deque()
        self._swept: deque[int] = deque()

    def claim(self, *, other_end: bool = False) -> Item | None:
        """Return the next item that is due and claim it, or None; settle it, or `release` it.

        `other_end` asks for the item that would come last, one that was never deferred where there is one.
        """
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
                row = self._reader.one("SELECT * FROM item WHERE id = ? AND state = 'waiting'", item_id)
                if row is not None:
                    item = self._reader.item(row, self._root)
                    self._claimed.add(item_id)
                    return item

    @contextmanager
    def withheld(self, items: Iterable[int]) -> Iterator[list[int]]:
        """Keep items out of uploaders' hands while the block runs; yields those that are in no hand already."""
        with self._lock:
            free = [item_id for item_id in items if item_id not in self._claimed]
            self._claimed.update(free)
        try:
            yield free
        finally:
            with self._lock:
                self._claimed.difference_update(free)
                self._ahead.clear()
            self._bell.ring()

    def next_due(self) -> float | None:
        """Return when, on the boot clock, the next deferred and unclaimed item is due; None where there is none."""
        with self._lock:
            rows = self._reader.all(NEXT, len(self._claimed) + 1)
            return next((row["not_before"] for row in rows if row["id"] not in self._claimed), None)

    def empty(self) -> bool:
        """Tell whether nothing waits, deferred items included."""
        return self._reader.one(WAITING) is None

    def has_ready(self) -> bool:
        """Tell whether an item waits that is not deferred."""
        return self._reader.one(ANY_READY) is not None

    def prune(self, keep: int) -> None:
        """Forget all but the newest `keep` receipts."""
        self._update(PRUNE, keep)

    def release(self, item: Item, *, outcome_unknown: bool = False) -> None:
        """Give a claim back untouched: the link was at fault. No attempt is spent."""
        if outcome_unknown and not item.outcome_unknown:
            self._update("UPDATE item SET outcome_unknown = 1 WHERE id = ?", item.id)
        with self._lock:
            self._claimed.discard(item.id)
            self._ahead.clear()
        self._bell.ring()

    def deliver(self, item: Item, receipt: Receipt) -> None:
        """Record that the platform has an item, then let its files go."""
        self.deliver_all([(item, receipt)])

    def deliver_all(self, batch: Sequence[tuple[Item, Receipt]]) -> None:
        """Record that the platform has these items, in one commit, then let their files go."""

        def settle(connection: sqlite3.Connection) -> list[Item]:
            return [item for item, receipt in batch if self._enter_receipt(connection, item, receipt)]

        # Without a receipt of its own nothing goes: whoever settled an item meanwhile sees to its files.
        for item in self._commits.run(settle):
            self._sweep(item.id, (item.path, item.beside), item.origin)
        self._unclaim(*(item for item, _ in batch))

    def _enter_receipt(self, connection: sqlite3.Connection, item: Item, receipt: Receipt) -> bool:
        ended = self._end(connection, item, item.origin)
        if ended:
            reason = ledger.DUPLICATE if receipt.result == ledger.DUPLICATE else ""
            ledger.count(connection, item.source, ledger.DELIVERED, item.size, reason=reason)
            connection.execute(RECEIPT, self._receipt_row(item, receipt))
        return ended

    def drop(self, item: Item, reason: str) -> None:
        """Give an item up for a reason that the ledger keeps; its original is left alone."""

        def settle(connection: sqlite3.Connection) -> bool:
            ended = self._end(connection, item, None)
            if ended:
                ledger.count(connection, item.source, ledger.DROPPED, item.size, reason=reason)
            return ended

        if self._commits.run(settle):
            log.warning("item_dropped", item=item.id, filename=item.filename, source=item.source, reason=reason)
            self._sweep(item.id, (item.path, item.beside), None)
        self._unclaim(item)

    def defer(self, item: Item, until: float, *, spend: bool = True) -> None:
        """Try an item again no sooner than `until` on the boot clock; an attempt is spent unless said otherwise."""
        self._update("UPDATE item SET attempts = attempts + ?, not_before = ? WHERE id = ?", spend, until, item.id)
        self._unclaim(item)

    def requeue(self, items: Sequence[int]) -> None:
        """Let quarantined items wait again, as if they had never been set aside; unknown ids are ignored."""

        def settle(connection: sqlite3.Connection) -> None:
            for item_id in items:
                row = connection.execute(
                    "UPDATE item SET state = 'waiting', reason = NULL, not_before = 0 "
                    "WHERE id = ? AND state = 'quarantined' RETURNING source, size",
                    (item_id,),
                ).fetchone()
                if row is not None:
                    ledger.count(connection, row["source"], ledger.QUARANTINED, -row["size"], items=-1)

        self._commits.run(settle)
        self._bell.ring()

    def replace(self, item: Item, data: bytes) -> None:
        """Exchange an item's picture for a smaller JPEG of it, once; the filename's extension follows.

        Raises `SpoolFull` where the disk has no room for both at once; then the item is as it was.
        """
        self._admit_copy(len(data))
        path = Shelf(self._root).write(item.id, smaller_path(item.path).name, data)

        def settle(connection: sqlite3.Connection) -> bool:
            changed = connection.execute(
                "UPDATE item SET path = ?, filename = ?, media_type = ?, size = ?, sha256 = ?, reencoded = 1 "
                "WHERE id = ?",
                (
                    stored_path(path, self._root),
                    f"{item.filename.rpartition('.')[0]}.jpg",
                    JPEG,
                    len(data),
                    hashlib.sha256(data).hexdigest(),
                    item.id,
                ),
            )
            if changed.rowcount == 1:
                ledger.count(connection, item.source, ledger.CAPTURED, len(data) - item.size, items=0)
            return changed.rowcount == 1

        superseded = item.path if self._commits.run(settle, {path.parent}) else path
        try:
            remove(superseded)
        except Wait as error:
            # The row names the other one; the next start finds this one superseded.
            log.warning("removal_failed", item=item.id, path=str(superseded), reason=str(error))
        self._unclaim(item)

    def quarantine(self, item: Item, reason: str) -> None:
        """Set an item aside with the reason; its bytes stay, and a person may retry it.

        A full quarantine drops its oldest.
        """

        def settle(connection: sqlite3.Connection) -> list[Discarded] | None:
            if connection.execute(SET_ASIDE, (reason, item.id)).rowcount == 0:
                return None
            ledger.count(connection, item.source, ledger.QUARANTINED, item.size)
            return bound_quarantine(connection, self._root, self._quarantine_max_items, newcomer=item.id)

        crowded_out = self._commits.run(settle)
        if crowded_out is not None:
            log.warning("item_quarantined", item=item.id, filename=item.filename, source=item.source, reason=reason)
            for one in crowded_out:
                log.warning(
                    "item_dropped", item=one.id, filename=one.filename, source=one.source, reason=QUARANTINE_FULL
                )
                self._sweep(one.id, one.paths, None)
        self._unclaim(item)

    def sweep(self) -> int:
        """Finish what earlier runs recorded but did not get to: remove files whose end is durable."""
        rows = self._reader.all("SELECT item_id, path, origin, beside FROM leftover")
        for row in rows:
            beside = read_path(row["beside"], self._root) if row["beside"] else None
            paths = (read_path(row["path"], self._root), beside)
            self._sweep(row["item_id"], paths, read_origin(row["origin"]))
        if self._swept:
            self._commits.run(self._forget_swept)
        return len(rows)

    def _look_ahead(self, *, other_end: bool) -> list[int]:
        limit = AHEAD[self._order] + len(self._claimed)
        due = self._reader.all(DUE, self._clock.boot(), limit)
        direction = DIRECTION[OPPOSITE[self._order] if other_end else self._order]
        ready = self._reader.all(READY.format(direction), limit)
        rows = (*ready, *due) if other_end else (*due, *ready)
        found = [row[0] for row in rows if row[0] not in self._claimed]
        return found[: AHEAD[self._order]]

    def _end(self, connection: sqlite3.Connection, item: Item, origin: Origin | None) -> bool:
        """Take an item out of the queue; false where another process has settled it meanwhile."""
        if connection.execute("DELETE FROM item WHERE id = ?", (item.id,)).rowcount == 0:
            return False
        beside = stored_path(item.beside, self._root) if item.beside else None
        connection.execute(
            "INSERT INTO leftover(item_id, path, origin, beside) VALUES (?, ?, ?, ?)",
            (item.id, stored_path(item.path, self._root), origin_text(origin), beside),
        )
        self._forget_swept(connection)
        return True

    def _forget_swept(self, connection: sqlite3.Connection) -> None:
        # Rides on a commit that is due anyway: a row that comes back costs one look at the next start.
        for _ in range(len(self._swept)):
            connection.execute("DELETE FROM leftover WHERE item_id = ?", (self._swept.popleft(),))

    def _receipt_row(self, item: Item, receipt: Receipt) -> tuple[object, ...]:
        origin = str(item.origin.path).encode("utf-8", "surrogateescape") if item.origin else None
        return (
            item.id,
            item.source,
            item.filename,
            item.size,
            item.sha256,
            receipt.result,
            receipt.image_id,
            receipt.batch_id,
            receipt.storage_key,
            item.attempts + 1,
            item.outcome_unknown,
            utc_text(item.captured_at),
            utc_text(self._clock.wall()),
            origin,
        )

    def _sweep(self, item_id: int, paths: tuple[Path | None, ...], origin: Origin | None) -> None:
        try:
            # The spool's own files first: an original that refuses to go must not keep them, uncounted.
            for path in paths:
                if path is not None:
                    remove(path)
            if origin is not None:
                finish(origin)
        except Wait as error:
            # The receipt stands; the row in `leftover` brings this back at the next sweep.
            log.warning("removal_failed", item=item_id, path=str(paths[0]), reason=str(error))
        else:
            self._swept.append(item_id)

    def _update(self, statement: str, *values: object) -> None:
        self._commits.run(lambda connection: connection.execute(statement, values).rowcount)

    def _unclaim(self, *items: Item) -> None:
        with self._lock:
            self._claimed.difference_update(item.id for item in items)
        self._bell.ring()
