"""The process that is cut off: it puts, delivers, quarantines, drops and shrinks, and tells of every promise.

    python spool_driver.py ROOT SOCKET [--rounds N] [--breakage NAME]

Pictures come from ROOT/watched and from memory, the spool is ROOT/spool. What is promised goes to the inherited
socket SOCKET, a line each, after it is true; what would excuse a loss, before it happens:

    staged NAME INODE, put NAME SHA256 INODE, delivered NAME, setting-aside NAME, dropping NAME, shrinking NAME SHA256

INODE is that of a picture that is a link, 0 for one that has bytes of its own.
"""

from __future__ import annotations

import argparse
import hashlib
import logging
import socket
import sys
from contextlib import ExitStack
from itertools import count, islice
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

sys.path.insert(0, str(Path(__file__).parent.parent / "spool"))

import breakage
import structlog
from spool_rig import How, StillClock, adopted, draft, own, sha

from agent.errors import SpoolDamaged, Wait
from agent.frame import Receipt
from agent.spool.budget import Limits
from agent.spool.selection import Selection

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from agent.frame import Item
    from agent.spool.records import Draft, Staged
    from agent.spool.spool import Spool

T = TypeVar("T")

LIMITS = Limits(max_bytes=10**9, min_free_bytes=0, quarantine_max_items=1)
WATCHED = "watched"
MOVED = "moved"
AFTER = ("delete", "move", "keep")
ANOTHER = 1000
TRIES = 3
WARM_UP = 40


def picture(number: int) -> bytes:
    """Return the bytes of a numbered picture: 3 to 90 kB, no two alike."""
    return hashlib.sha256(b"picture %d" % number).digest() * (100 + number * 397 % 2700)


def frame(number: int) -> bytes:
    """Return the bytes of a numbered frame."""
    return hashlib.sha256(b"frame %d" % number).digest() * (100 + number * 761 % 2700)


def how(root: Path, number: int) -> How:
    """Say how a numbered file is adopted: by link, every fifth one by copy; what becomes of it after delivery."""
    chosen = How(after=AFTER[number % 3], move_to=root / MOVED, copy=number % 5 == 4)
    sidecar = root / WATCHED / f"{number}.txt"
    if sidecar.exists():
        chosen["sidecar"] = sidecar
    return chosen


def persist(work: Callable[[], T]) -> T:
    """Try again as the daemon does; what the disk refuses three times ends the run."""
    for _ in range(TRIES - 1):
        try:
            return work()
        except SpoolDamaged:
            raise
        except Wait:
            continue
    return work()


class Driver:
    """One run over a spool."""

    def __init__(self, root: Path, spool: Spool, tell: Callable[..., None]) -> None:
        self._root = root
        self._spool = spool
        self._tell = tell

    def round(self, number: int) -> None:
        """Put a file and a frame together, and settle what is due, each round in another way."""
        for staged in persist(lambda: self._put(number)):
            self._tell("put", staged.filename, staged.draft.sha256, _link_of(staged))
        settle = (self._deliver, self._set_aside, self._deliver, self._drop, self._shrink, self._defer, self._set_aside)
        for choose in (settle[number % len(settle)], self._deliver):
            item = self._spool.outbox.claim()
            if item is not None:
                choose(item)

    def finish(self) -> None:
        """Deliver what is left."""
        while (item := self._spool.outbox.claim()) is not None:
            self._deliver(item)

    def warm_up(self) -> None:
        """Grow the journal of the index and empty it: from then on commits overwrite it, and nothing else.

        A journal that still grows makes ext4 and xfs write their own, and with it the names that nobody flushed.
        """
        connection = self._spool._commits._connection
        for _ in range(WARM_UP):
            self._spool.inbox.commit([self._spool.inbox.stage(draft(frame(-1)))])
            item = self._spool.outbox.claim()
            assert item is not None
            self._spool.outbox.deliver(item, Receipt(item.id, "delivered"))
        connection.execute("PRAGMA wal_checkpoint(PASSIVE)")

    def _put(self, number: int) -> list[Staged]:
        inbox = self._spool.inbox
        with ExitStack() as opened, ExitStack() as failed:
            # Two files that come together share the flush of their file system.
            numbers = (number, ANOTHER + number) if number % 3 else (number,)
            files = [opened.enter_context(self._adopted(one)) for one in numbers]
            staged = []
            for one in (*files, draft(frame(number))):
                staged.append(inbox.stage(one))
                failed.callback(inbox.abandon, staged[-1])
                self._tell("staged", staged[-1].filename, _link_of(staged[-1]))
            inbox.commit(staged)
            failed.pop_all()
        return staged

    def _adopted(self, number: int) -> AbstractContextManager[Draft]:
        path = self._root / WATCHED / f"{number}.jpg"
        if not path.exists():
            path.write_bytes(picture(number))
        return adopted(path, **how(self._root, number))

    def _deliver(self, item: Item) -> None:
        persist(lambda: self._spool.outbox.deliver(item, Receipt(item.id, "delivered")))
        self._tell("delivered", item.filename)

    def _set_aside(self, item: Item) -> None:
        self._tell("setting-aside", item.filename)
        persist(lambda: self._spool.outbox.quarantine(item, "refused"))

    def _drop(self, item: Item) -> None:
        self._tell("dropping", item.filename)
        if item.id % 2:
            persist(lambda: self._spool.outbox.drop(item, "why"))
        else:
            persist(lambda: self._spool.orders.drop(Selection(ids=(item.id,))))
            self._spool.outbox.release(item)

    def _shrink(self, item: Item) -> None:
        smaller = item.path.read_bytes()[: item.size // 2]
        self._tell("shrinking", item.filename, sha(smaller))
        persist(lambda: self._spool.outbox.replace(item, smaller))

    def _defer(self, item: Item) -> None:
        persist(lambda: self._spool.outbox.defer(item, StillClock().boot() + 1))


def _link_of(staged: Staged) -> int:
    status = staged.path.stat()
    return status.st_ino if status.st_nlink > 1 else 0


def main() -> None:
    """Work until all rounds are done, or the disk refuses for good."""
    parser = argparse.ArgumentParser()
    parser.add_argument("root", type=Path)
    parser.add_argument("socket", type=int)
    parser.add_argument("--rounds", type=int, default=None)
    parser.add_argument("--warm-up", action="store_true")
    parser.add_argument("--breakage", choices=breakage.NAMES, default="")
    options = parser.parse_args()
    with socket.socket(fileno=options.socket) as line:

        def tell(*words: object) -> None:
            line.sendall(f"{' '.join(map(str, words))}\n".encode())

        # What it would print are write calls of its own; the daemon's log survives a full disk by other means.
        structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))
        breakage.break_flushes(options.breakage)
        try:
            with persist(lambda: own(options.root / "spool", limits=LIMITS)) as spool:
                breakage.break_spool(options.breakage, spool)
                driver = Driver(options.root, spool, tell)
                if options.warm_up:
                    driver.warm_up()
                tell("ready")
                for number in islice(count(), options.rounds):
                    driver.round(number)
                driver.finish()
        except SpoolDamaged:
            raise
        except Wait as error:
            tell("gave-up", error)


if __name__ == "__main__":
    main()
