"""Receipts, committed in groups, so that an uploader sends its next picture while the last one's receipt is flushed.

A commit costs an fsync (10 ms on an SD card). What a kill catches between the answer and its commit is sent again,
and the platform refuses it as a duplicate: at most `BOUND` items and those under way.
"""

from __future__ import annotations

import threading
from collections import deque
from contextlib import contextmanager
from typing import TYPE_CHECKING

import structlog

from agent.errors import SpoolDamaged, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from agent.frame import Item, Receipt
    from agent.health import Pulse
    from agent.spool.outbox import Outbox
    from agent.workers import Stop

log = structlog.get_logger(__name__)

STAGE = "receipts"
BOUND = 32
ENOUGH = 16  # for a commit, while the uploaders go on with as many
GATHER_S = 0.02  # a commit each would be most of what a fast link costs, and of what is written to the flash
DISK_RETRY_S = 5.0


class ReceiptClerk:
    """Takes receipts from the uploaders and settles them, in one thread of its own."""

    def __init__(
        self,
        outbox: Outbox,
        *,
        stop: Stop,
        pulse: Pulse,
        record: Callable[[Item, Receipt], None] = lambda *_: None,
    ) -> None:
        self._outbox = outbox
        self._stop = stop
        self._pulse = pulse
        self._record = record
        self._changed = threading.Condition()
        self._pending: deque[tuple[Item, Receipt]] = deque()
        self._uploaders = 0
        self._gone = False

    @contextmanager
    def at_work(self) -> Iterator[None]:
        """Announce an uploader; the clerk stays for as long as one is there."""
        with self._changed:
            self._uploaders += 1
        try:
            yield
        finally:
            with self._changed:
                self._uploaders -= 1
                self._changed.notify_all()

    def submit(self, item: Item, receipt: Receipt) -> None:
        """Hand in a receipt; waits while too many are pending, so that memory and a kill's harm stay bounded."""
        with self._changed:
            self._changed.wait_for(lambda: len(self._pending) < BOUND or self._gone)
            self._pending.append((item, receipt))
            if len(self._pending) in {1, ENOUGH}:  # in between nobody waits for another one
                self._changed.notify_all()

    def run(self) -> None:
        """Settle receipts until the stop is set, the uploaders have left, and nothing is pending."""
        self._stop.subscribe(self._wake)
        try:
            self._work()
        finally:
            with self._changed:
                self._gone = True  # of damage: nobody may wait for it any more
                self._changed.notify_all()

    def _work(self) -> None:
        while batch := self._next():
            self._pulse.beat(STAGE)
            if self._settle(batch):
                self._tell(batch)
            with self._changed:
                for _ in batch:
                    self._pending.popleft()
                self._changed.notify_all()

    def _next(self) -> list[tuple[Item, Receipt]]:
        """Wait for receipts, and a moment for others to come along; empty when there will be none any more."""
        self._pulse.rest(STAGE)
        with self._changed:
            self._changed.wait_for(lambda: self._pending or (self._stop.is_set() and self._uploaders == 0))
            self._changed.wait_for(lambda: len(self._pending) >= ENOUGH or self._stop.is_set(), GATHER_S)
            return list(self._pending)

    def _settle(self, batch: list[tuple[Item, Receipt]]) -> bool:
        """Commit; while the disk refuses, try again: an answer that came must not be forgotten.

        Return false where the stop comes first: then those items are sent again by the next run.
        """
        is_said = False
        while True:
            try:
                self._outbox.deliver_all(batch)
            except SpoolDamaged:
                raise
            except Wait as error:
                if not is_said:
                    is_said = True
                    log.warning("settling_delayed", items=len(batch), reason=str(error))
                self._pulse.rest(STAGE)
                if self._stop.wait(DISK_RETRY_S):
                    return False
            else:
                return True

    def _wake(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def _tell(self, batch: list[tuple[Item, Receipt]]) -> None:
        for item, receipt in batch:
            self._record(item, receipt)
            log.info(
                "item_delivered",
                item=item.id,
                filename=item.filename,
                source=item.source,
                bytes=item.size,
                result=receipt.result,
                image_id=receipt.image_id,
            )
