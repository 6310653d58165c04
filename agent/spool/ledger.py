"""The ledger: what became of every picture, per source, exact because it is counted where it happens.

captured = delivered + waiting + quarantined + dropped (I2). `waiting` is what the others leave, so the law is a
theorem of the rows and a test of the items: their count must agree. Two columns stand beside the law: what was skipped
was never captured, so it is no promise; what a rule chose is captured already.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable

CAPTURED = "captured"
DELIVERED = "delivered"
QUARANTINED = "quarantined"
DROPPED = "dropped"
SKIPPED = "skipped"
CHOSEN = "chosen"
DUPLICATE = "duplicate"

COUNT = """
INSERT INTO tally(source, what, reason, items, bytes) VALUES (?, ?, ?, ?, ?)
ON CONFLICT(source, what, reason) DO UPDATE SET items = items + excluded.items, bytes = bytes + excluded.bytes
"""
TALLY = "SELECT source, what, reason, items, bytes FROM tally ORDER BY source"
# Everything that was captured and has not left: what waits and what is quarantined.
HELD = """
SELECT coalesce(sum(sign * bytes), 0) AS bytes, coalesce(sum(sign * items), 0) AS items
FROM (SELECT bytes, items, CASE what WHEN 'captured' THEN 1 WHEN 'delivered' THEN -1 WHEN 'dropped' THEN -1 ELSE 0 END
AS sign FROM tally)
"""
WAITING = """
SELECT source, sum(sign * items) AS items, sum(sign * bytes) AS bytes
FROM (SELECT source, bytes, items, CASE what WHEN 'captured' THEN 1 ELSE -1 END AS sign FROM tally
WHERE what IN ('captured', 'delivered', 'quarantined', 'dropped')) GROUP BY source
"""


@dataclass(slots=True)
class Account:
    """One source's totals since its spool began, in items, and the bytes that it holds now.

    `skipped` counts, by limit or rule, what was not worth the link; `chosen` by rule what was captured for its sake.
    """

    captured: int = 0
    delivered: int = 0
    duplicates: int = 0
    quarantined: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    held_bytes: int = 0
    captured_bytes: int = 0
    delivered_bytes: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    chosen: dict[str, int] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """Return how many items have been captured and have met no end yet."""
        return self.captured - self.delivered - self.quarantined - sum(self.dropped.values())


def count(
    connection: sqlite3.Connection, source: str, what: str, size: int, *, items: int = 1, reason: str = ""
) -> None:
    """Add to a source's column, inside the transaction that makes it true."""
    connection.execute(COUNT, (source, what, reason, items, size))


def count_all(connection: sqlite3.Connection, changes: Iterable[tuple[str, str, str, int]]) -> None:
    """Add single items to their sources' columns, each `(source, what, reason, size)`; one statement a column."""
    sums: dict[tuple[str, str, str], list[int]] = {}
    for source, what, reason, size in changes:
        total = sums.setdefault((source, what, reason), [0, 0])
        total[0] += 1
        total[1] += size
    connection.executemany(COUNT, [(*column, items, size) for column, (items, size) in sums.items()])


def held(connection: sqlite3.Connection) -> tuple[int, int]:
    """Return the bytes and the number of all items in the spool."""
    size, items = connection.execute(HELD).fetchone()
    return size, items


def accounts(rows: Iterable[sqlite3.Row]) -> dict[str, Account]:
    """Make every source's totals of the rows that `TALLY` selects."""
    found: dict[str, Account] = {}
    for row in rows:
        account = found.setdefault(row["source"], Account())
        items: int = row["items"]
        match row["what"]:
            case "captured":
                account.captured += items
                account.held_bytes += row["bytes"]
                account.captured_bytes += row["bytes"]
            case "delivered":
                account.delivered += items
                account.duplicates += items if row["reason"] == DUPLICATE else 0
                account.delivered_bytes += row["bytes"]
                account.held_bytes -= row["bytes"]
            case "quarantined":
                account.quarantined += items
            case "dropped":
                account.dropped[row["reason"]] = account.dropped.get(row["reason"], 0) + items
                account.held_bytes -= row["bytes"]
            case "skipped":
                account.skipped |= {row["reason"]: items} if items else {}
            case "chosen":
                account.chosen |= {row["reason"]: items} if items else {}
    return found
