"""What the index holds of items and receipts: one tuple a row, in the order of the statement that inserts it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from agent.clock import utc_text
from agent.spool import ledger
from agent.spool.records import origin_text, stored_path, stored_stamp

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from agent.frame import Item, Receipt
    from agent.spool.records import Staged


def item_row(staged: Staged, root: Path) -> tuple[object, ...]:
    """Write a staged picture as an item; the names of its columns are with the statement that inserts it."""
    draft = staged.draft
    return (
        staged.id,
        draft.source,
        staged.filename,
        stored_path(staged.pathname, root),
        draft.media_type,
        draft.size,
        draft.sha256,
        draft.metadata,
        utc_text(draft.captured_at),
        origin_text(draft.origin),
        stored_path(staged.beside, root) if staged.beside else None,
        *stored_stamp(draft.stamp),
        draft.priority,
    )


def receipt_row(item: Item, receipt: Receipt, delivered_at: datetime) -> tuple[object, ...]:
    """Write the receipt of an item; the names of its columns are with the statement that inserts it."""
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
        utc_text(delivered_at),
        os.fsencode(item.origin.pathname) if item.origin else None,
    )


def delivery(item: Item, receipt: Receipt) -> tuple[str, str, str, int]:
    """Return how the ledger counts a receipt, as `count_all` takes it."""
    reason = ledger.DUPLICATE if receipt.result == ledger.DUPLICATE else ""
    return item.source, ledger.DELIVERED, reason, item.size
