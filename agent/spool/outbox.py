"""The way out of the spool: claim an item, then say what became of it.

Record first, delete second: the receipt is durable before any file goes (I1), and a row in `leftover` names the
files until they are gone. What has to be recorded is recorded on a full disk, too: there is a reserve for it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import structlog

from agent.clock import utc_text
from agent.errors import Wait
from agent.media import JPEG
from agent.spool import ledger
from agent.spool.discard import QUARANTINE_FULL, bound_quarantine
from agent.spool.durable import remove
from agent.spool.filenames import smaller_path
from agent.spool.records import stored_path
from agent.spool.rows import delivery, receipt_row
from agent.spool.shelf import Shelf

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from agent.clock import Clock
    from agent.frame import Item, Origin, Receipt
    from agent.spool.claims import Claims
    from agent.spool.commits import Commits
    from agent.spool.discard import Discarded
    from agent.spool.leftovers import Leftovers
    from agent.spool.reader import Reader
    from agent.spool.reserve import Reserve
    from agent.workers import Bell

T = TypeVar("T")

log = structlog.get_logger(__name__)

BACKLOG_ITEMS = 64
BACKLOG = "SELECT 1 FROM item WHERE state = 'waiting' AND not_before = 0 LIMIT 1 OFFSET ?"
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
        claims: Claims,
        leftovers: Leftovers,
        reserve: Reserve,
        clock: Clock,
        bell: Bell,
        admit_copy: Callable[[int], None],
        quarantine_max_items: int = 1000,
    ) -> None:
        self._commits = commits
        self._reader = reader
        self._root = root
        self._claims = claims
        self._leftovers = leftovers
        self._reserve = reserve
        self._clock = clock
        self._bell = bell
        self._admit_copy = admit_copy
        self._quarantine_max_items = quarantine_max_items

    def claim(self, *, other_end: bool = False) -> Item | None:
        """Return the next item that is due and claim it, or None; settle it, or `release` it.

        `other_end` asks for the item that would come last, one that was never deferred where there is one.
        """
        return self._claims.next(other_end=other_end)

    def next_due(self) -> float | None:
        """Return when, on the boot clock, the next deferred and unclaimed item is due; None where there is none."""
        return self._claims.next_due()

    def empty(self) -> bool:
        """Tell whether nothing waits, deferred items included."""
        return self._reader.one(WAITING) is None

    def has_ready(self) -> bool:
        """Tell whether an item waits that is not deferred."""
        return self._reader.one(ANY_READY) is not None

    def has_backlog(self) -> bool:
        """Tell whether so much waits that what comes last would have to wait long."""
        return self._reader.one(BACKLOG, BACKLOG_ITEMS - 1) is not None

    def prune(self, keep: int) -> None:
        """Forget all but the newest `keep` receipts."""
        self._update(PRUNE, keep)

    def expire(self, before: datetime) -> None:
        """Forget the receipts of what was delivered before a moment."""
        self._update("DELETE FROM receipt WHERE delivered_at < ?", utc_text(before))

    def release(self, item: Item, *, outcome_unknown: bool = False) -> None:
        """Give a claim back untouched: the link was at fault. No attempt is spent."""
        if outcome_unknown and not item.outcome_unknown:
            self._update("UPDATE item SET outcome_unknown = 1 WHERE id = ?", item.id)
        self._claims.give_back(item.id)

    def deliver(self, item: Item, receipt: Receipt) -> None:
        """Record that the platform has an item, then let its files go."""
        self.deliver_all([(item, receipt)])

    def deliver_all(self, batch: Sequence[tuple[Item, Receipt]]) -> None:
        """Record that the platform has these items, in one commit, then let their files go."""

        def settle(connection: sqlite3.Connection) -> list[Item]:
            now = self._clock.wall()
            ids = self._leftovers.end(connection, ((item, _passing(item.origin)) for item, _ in batch))
            ended = [(item, receipt) for item, receipt in batch if item.id in ids]
            connection.executemany(RECEIPT, (receipt_row(item, receipt, now) for item, receipt in ended))
            ledger.count_all(connection, (delivery(item, receipt) for item, receipt in ended))
            return [item for item, _ in ended]

        # Without a receipt of its own nothing goes: whoever settled an item meanwhile sees to its files.
        for item in self._record(settle):
            self._sweep(item.id, (item.pathname, item.beside), item.origin)
        self._leftovers.forget_taken_away()
        self._unclaim(*(item for item, _ in batch))

    def drop(self, item: Item, reason: str) -> None:
        """Give an item up for a reason that the ledger keeps; its original is left alone."""

        def settle(connection: sqlite3.Connection) -> bool:
            ended = self._leftovers.end(connection, [(item, None)])
            if ended:
                ledger.count(connection, item.source, ledger.DROPPED, item.size, reason=reason)
            return bool(ended)

        if self._record(settle):
            log.warning("item_dropped", item=item.id, filename=item.filename, source=item.source, reason=reason)
            self._sweep(item.id, (item.pathname, item.beside), None)
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

        self._record(settle)
        self._bell.ring()

    def replace(self, item: Item, data: bytes) -> None:
        """Exchange an item's picture for a smaller JPEG of it, once; the filename's extension follows.

        Raises `SpoolFull` where the disk has no room for both at once; then the item is as it was.
        """
        self._admit_copy(len(data))
        path = Path(Shelf(self._root).write(item.id, smaller_path(item.path).name, data))

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

        crowded_out = self._record(settle)
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
        return self._leftovers.sweep()

    def _sweep(self, item_id: int, paths: tuple[str | Path | None, ...], origin: Origin | None) -> None:
        self._leftovers.remove(item_id, paths, origin)

    def _record(self, settle: Callable[[sqlite3.Connection], T]) -> T:
        return self._reserve.spare(lambda: self._commits.run(settle))

    def _update(self, statement: str, *values: object) -> None:
        self._record(lambda connection: connection.execute(statement, values).rowcount)

    def _unclaim(self, *items: Item) -> None:
        self._claims.settle(item.id for item in items)


def _passing(origin: Origin | None) -> Origin | None:
    """Leave out an original that stays: it is none of those that may still lie there though they should not."""
    return None if origin is None or origin.after == "keep" else origin
