"""The spool as a whole: opened by one owner, looked into by anybody."""

from __future__ import annotations

import fcntl
import os
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, Self

from agent.clock import boot_id
from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.spool import ledger
from agent.spool.allowance import Allowance
from agent.spool.budget import Usage
from agent.spool.choices import Choices
from agent.spool.claims import Claims
from agent.spool.commits import Commits
from agent.spool.durable import disk_errors, make_directory
from agent.spool.errands import Errands
from agent.spool.history import History
from agent.spool.inbox import Inbox
from agent.spool.leftovers import Leftovers
from agent.spool.losses import Losses
from agent.spool.orders import Orders
from agent.spool.outbox import Outbox
from agent.spool.ownership import lock_intake, own
from agent.spool.place import Place
from agent.spool.reader import Reader
from agent.spool.reconcile import Reconciler
from agent.spool.reserve import Reserve
from agent.spool.retiming import Retiming
from agent.spool.room import Room
from agent.spool.salvage import connect_or_salvage
from agent.spool.schema import connect
from agent.spool.shelf import Shelf
from agent.spool.traffic import Traffic
from agent.spool.vouching import Vouching
from agent.workers import Bell

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.budget import Limits, Policy
    from agent.spool.ledger import Account
    from agent.spool.reconcile import Examine
    from agent.spool.records import Staged


class Spool:
    """The durable queue between intake and drain.

    The owner (the daemon) holds a lock for its life, salvages a damaged index, and drains. Others may put pictures
    in beside it (`upload FILE`) or read.
    """

    def __init__(
        self,
        directory: Path,
        limits: Limits,
        *,
        order: str = "oldest",
        clock: Clock,
        owner: bool,
        note: str = "",
        policies: Mapping[str, Policy] | None = None,
        captured: Callable[[Sequence[Staged]], None] = lambda _: None,
    ) -> None:
        """Open or create the spool; `note` (JSON text) tells other processes how to find the owner.

        `policies` say what gives way for each source when the spool is full; a source without one waits. `captured`
        hears of what became items here. Raises `SpoolTaken` when another owner runs, `SpoolFull` or `SpoolUnavailable`
        where the disk refuses.
        """
        self.directory = directory
        self.max_bytes = limits.max_bytes
        self._quarantine_max_items = limits.quarantine_max_items
        self.arrived = Bell()
        self.vouching = Vouching(clock)
        self._clock = clock
        make_directory(directory)
        with ExitStack() as ends:
            if owner:
                ends.callback(os.close, own(directory, note))
            self._intake = lock_intake(directory, exclusive=owner)
            ends.callback(os.close, self._intake)
            shelf, reserve = Shelf(directory), Reserve(directory, keep=owner)
            ends.enter_context(reserve.spare(lambda: self._connect(shelf, owner=owner)))
            self._assemble(ends, limits, order, clock, shelf, reserve, policies or {})
            self.inbox.tell(captured)
            self._ends = ends.pop_all()

    def _connect(self, shelf: Shelf, *, owner: bool) -> ExitStack:
        """Open the index; its owner first takes care of what an earlier run left."""
        with ExitStack() as ends:
            shelf.prepare()
            connection, self.salvaged = (
                connect_or_salvage(self.directory) if owner else (connect(self.directory), False)
            )
            self._commits = Commits(connection, self.directory)
            ends.callback(self._commits.close)
            self._place = Place(self.directory, self._commits, clock=self._clock)
            self.reader = Reader(self.directory)
            ends.callback(self.reader.close)
            if owner:
                shelf.clear()
                following = shelf.next_free()
                self.fence, index_lost = self._commits.run(lambda connection: _begin(connection, following))
                self.salvaged = self.salvaged or index_lost
                # From here on others may put again: their sequence numbers start at the fence.
                fcntl.flock(self._intake, fcntl.LOCK_UN)
            return ends.pop_all()

    def _assemble(
        self,
        ends: ExitStack,
        limits: Limits,
        order: str,
        clock: Clock,
        shelf: Shelf,
        reserve: Reserve,
        policies: Mapping[str, Policy],
    ) -> None:
        with suppress(SpoolFull, SpoolUnavailable):
            reserve.restore()
        losses = Losses(clock)
        ends.callback(losses.close)
        self.claims = claims = Claims(self.reader, self.directory, order=order, clock=clock, bell=self.arrived)
        leftovers = Leftovers(self._commits, self.reader, self.directory, clock=clock)
        room = Room(
            self._commits,
            self.reader,
            self.directory,
            policies=policies,
            claims=claims,
            leftovers=leftovers,
            reserve=reserve,
            losses=losses,
            clock=clock,
        )
        self.allowance = Allowance(limits, measure=self.usage, room=room, reserve=reserve, clock=clock)
        books = (claims, losses, self.vouching)
        self.inbox = Inbox(self._commits, shelf, self.allowance, *books, arrived=self.arrived)
        self.outbox = Outbox(
            self._commits,
            self.reader,
            self.directory,
            claims=claims,
            leftovers=leftovers,
            reserve=reserve,
            clock=clock,
            bell=self.arrived,
            admit_copy=self.allowance.check_copy,
            quarantine_max_items=limits.quarantine_max_items,
        )
        self._lay_out_books(clock)

    def _lay_out_books(self, clock: Clock) -> None:
        """Make what remembers, obeys and counts beside the queue."""
        self.choices = Choices(self._commits, self.reader)
        self.history = History(self._commits, self.reader)
        self.orders = Orders(self._commits, self.directory)
        self.errands = Errands(self._commits, self.reader)
        self.traffic = Traffic(self._commits, self.reader, clock=clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def usage(self) -> Usage:
        """Return what the items in the spool take, linked ones included, and what its disk has free for a user."""
        self.check_place()
        row = self.reader.one(ledger.HELD)
        with disk_errors("ask for the free space of", self.directory):
            disk = os.statvfs(self.directory)
        return Usage(
            spool_bytes=row["bytes"] if row else 0,
            spool_items=row["items"] if row else 0,
            free_bytes=disk.f_bavail * disk.f_frsize,
            free_inodes=disk.f_favail if disk.f_files else None,
        )

    def check_place(self) -> None:
        """Raise `SpoolReplaced`, `SpoolFailing` or `SpoolUnavailable` where the open spool is no use any more.

        Pictures must not go where their rows do not.
        """
        self._place.check()

    def accounts(self) -> dict[str, Account]:
        """Return every source's totals."""
        return ledger.accounts(self.reader.all(ledger.TALLY))

    def version(self) -> int:
        """Return a number that changes when the index was changed, by any process."""
        row = self.reader.one("PRAGMA data_version")
        return 0 if row is None else int(row[0])

    def commits(self) -> int:
        """Return how many transactions were committed: progress that a watchdog can see."""
        return self._commits.count

    def done_putting(self) -> None:
        """Let an owner start, where this process only put something in and now waits for it to arrive."""
        fcntl.flock(self._intake, fcntl.LOCK_UN)

    def close(self) -> None:
        """Close the index and let the lock go."""
        with suppress(Wait):
            self._ends.close()

    def reconciler(self, examine: Examine) -> Reconciler:
        """Return what compares folders and index; run it once, in the background, for each folder of pictures."""
        return Reconciler(
            self._commits,
            self.reader,
            self.directory,
            fence=self.fence,
            salvaged=self.salvaged,
            examine=examine,
            quarantine_max_items=self._quarantine_max_items,
        )

    def retiming(self, retime: Callable[[str, datetime], str]) -> Retiming:
        """Return what puts capture times right; `retime` rewrites the time in an item's metadata."""
        return Retiming(self._commits, self.reader, clock=self._clock, withheld=self.claims.withheld, retime=retime)


def _begin(connection: sqlite3.Connection, following: int) -> tuple[int, bool]:
    """Start an owner's run: forget waits of an earlier boot, and find the first sequence number of this run.

    It is `following` at least, which no picture on the shelf has. Pictures without any number in the index mean that
    the index was lost: then the answer is true.
    """
    row = connection.execute("SELECT value FROM meta WHERE key = 'boot_id'").fetchone()
    boot = boot_id()
    if row is None or row[0] != boot:
        connection.execute("UPDATE item SET not_before = 0 WHERE state = 'waiting' AND not_before > 0")
        connection.execute("INSERT OR REPLACE INTO meta VALUES ('boot_id', ?)", (boot,))
    row = connection.execute("SELECT value FROM meta WHERE key = 'next_sequence'").fetchone()
    first = max(following, int(row[0]) if row else 1)
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('next_sequence', ?)", (str(first),))
    return first, row is None and following > 1
