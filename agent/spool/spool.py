"""The spool as a whole: opened by one owner, looked into by anybody."""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Self

from agent.clock import boot_id
from agent.errors import SpoolTaken, Wait
from agent.frame import Position
from agent.spool import ledger
from agent.spool.commits import Commits
from agent.spool.durable import disk_errors, make_directory
from agent.spool.inbox import Inbox
from agent.spool.orders import Orders
from agent.spool.outbox import Outbox
from agent.spool.reader import Reader
from agent.spool.reconcile import Reconciler
from agent.spool.records import Known, read_inode, stored_inode
from agent.spool.retiming import Retiming
from agent.spool.salvage import connect_or_salvage
from agent.spool.schema import connect
from agent.spool.shelf import Shelf
from agent.workers import Bell, Stop

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime
    from pathlib import Path

    from agent.clock import Clock
    from agent.spool.budget import Limits
    from agent.spool.ledger import Account
    from agent.spool.reconcile import Examine

LOCK = "lock"
INTAKE_LOCK = "intake.lock"
INTAKE_PATIENCE = 100  # tenths of a second


class Spool:
    """The durable queue between intake and drain.

    The owner (the daemon) holds a lock for its life, salvages a damaged index, and drains. Others may put pictures
    in beside it (`upload FILE`) or read.
    """

    def __init__(
        self, directory: Path, limits: Limits, *, order: str = "oldest", clock: Clock, owner: bool, note: str = ""
    ) -> None:
        """Open or create the spool; `note` (JSON text) tells other processes how to find the owner.

        Raises `SpoolTaken` when another owner runs, `SpoolFull` or `SpoolUnavailable` where the disk refuses.
        """
        self.directory = directory
        self._clock = clock
        make_directory(directory)
        with ExitStack() as ends:
            if owner:
                ends.callback(os.close, _own(directory, note))
            self._intake = _lock_intake(directory, exclusive=owner)
            ends.callback(os.close, self._intake)
            self._open(ends, limits, order, clock, owner=owner)
            self._ends = ends.pop_all()

    def _open(self, ends: ExitStack, limits: Limits, order: str, clock: Clock, *, owner: bool) -> None:
        self._quarantine_max_items = limits.quarantine_max_items
        shelf = Shelf(self.directory)
        shelf.prepare()
        connection, self.salvaged = connect_or_salvage(self.directory) if owner else (connect(self.directory), False)
        self._commits = Commits(connection, self.directory)
        ends.callback(self._commits.close)
        self.reader = Reader(self.directory)
        ends.callback(self.reader.close)
        self.arrived = Bell()
        if owner:
            shelf.clear()
            following = shelf.next_free()
            self.fence, index_lost = self._commits.run(lambda connection: _begin(connection, following))
            self.salvaged = self.salvaged or index_lost
            # From here on others may put again: their sequence numbers start at the fence.
            fcntl.flock(self._intake, fcntl.LOCK_UN)
        self.inbox = Inbox(
            self._commits,
            shelf,
            limits,
            free_bytes=self.free_bytes,
            held_bytes=self.held_bytes,
            arrived=self.arrived,
        )
        self.outbox = Outbox(
            self._commits,
            self.reader,
            self.directory,
            order=order,
            clock=clock,
            bell=self.arrived,
            admit_copy=self.inbox.admit_copy,
            quarantine_max_items=limits.quarantine_max_items,
        )
        self.orders = Orders(self._commits, self.directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def held_bytes(self) -> int:
        """Return the bytes of all items in the spool, linked ones included."""
        row = self.reader.one(ledger.HELD)
        return 0 if row is None else int(row[0])

    def free_bytes(self) -> int:
        """Return the free bytes of the spool's disk, as an ordinary user has them."""
        with disk_errors("ask for the free space of", self.directory):
            status = os.statvfs(self.directory)
        return status.f_bavail * status.f_frsize

    def accounts(self) -> dict[str, Account]:
        """Return every source's totals."""
        return ledger.accounts(self.reader.all(ledger.TALLY))

    def known(self, source: str, paths: Sequence[str]) -> dict[str, Known]:
        """Return what is remembered of those paths that were captured before."""
        encoded = [path.encode("utf-8", "surrogateescape") for path in paths]
        marks = ", ".join("?" * len(encoded))
        rows = self.reader.all(
            f"SELECT path, inode, size, mtime_ns, sha256 FROM known WHERE source = ? AND path IN ({marks})",  # noqa: S608 (only question marks are put in)
            source,
            *encoded,
        )
        return {
            os.fsdecode(row["path"]): Known(read_inode(row["inode"]), row["size"], row["mtime_ns"], row["sha256"])
            for row in rows
        }

    def known_names(self, source: str, after: str, limit: int) -> list[str]:
        """Return the next remembered paths of a source behind `after`, in the order of their bytes."""
        rows = self.reader.all(
            "SELECT path FROM known WHERE source = ? AND path > ? ORDER BY path LIMIT ?",
            source,
            after.encode("utf-8", "surrogateescape"),
            limit,
        )
        return [os.fsdecode(row["path"]) for row in rows]

    def known_count(self, source: str) -> int:
        """Return how many paths of a source are remembered."""
        row = self.reader.one("SELECT count(*) FROM known WHERE source = ?", source)
        return 0 if row is None else int(row[0])

    def known_inode(self, source: str, inode: int, size: int, mtime_ns: int) -> str | None:
        """Return the sha256 of a captured file that now has another name, or None."""
        row = self.reader.one(
            "SELECT sha256 FROM known WHERE inode = ? AND source = ? AND size = ? AND mtime_ns = ?",
            stored_inode(inode),
            source,
            size,
            mtime_ns,
        )
        return None if row is None else str(row[0])

    def forget(self, source: str, paths: Sequence[str]) -> None:
        """Drop the memory of watched files that are gone."""
        encoded = [(source, path.encode("utf-8", "surrogateescape")) for path in paths]
        self._commits.run(
            lambda connection: connection.executemany("DELETE FROM known WHERE source = ? AND path = ?", encoded)
        )

    def progress(self, source: str, path: str, fingerprint: str) -> Position | None:
        """Return how far a file source was read, if it is still the same file."""
        row = self.reader.one(
            "SELECT next_frame, ended FROM progress WHERE source = ? AND path = ? AND fingerprint = ?",
            source,
            path,
            fingerprint,
        )
        return None if row is None else Position(path, fingerprint, row["next_frame"], bool(row["ended"]))

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
        return Retiming(self._commits, self.reader, clock=self._clock, withheld=self.outbox.withheld, retime=retime)


def _own(directory: Path, note: str) -> int:
    """Take the owner's lock, and leave a note in it for those who look."""
    path = directory / LOCK
    with disk_errors("lock", path), _open_lock(path) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise SpoolTaken(
                f"another agent (pid {owner_note(directory).get('pid', 'unknown')}) already uses the spool {directory}",
                remedy="Stop it first, or give this one a spool.dir of its own.",
            ) from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, note.encode())
        return descriptor


def _lock_intake(directory: Path, *, exclusive: bool) -> int:
    """Wait until no other process is in the middle of a put (the owner), or keep the owner from assuming so."""
    path = directory / INTAKE_LOCK
    mode = (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB
    patience = Stop()
    with disk_errors("lock", path), _open_lock(path) as descriptor:
        for _ in range(INTAKE_PATIENCE):
            with suppress(BlockingIOError):
                fcntl.flock(descriptor, mode)
                return descriptor
            patience.wait(0.1)
        raise SpoolTaken(
            f"another process is still putting pictures into {directory}", remedy="Try again when it is done."
        )


@contextmanager
def _open_lock(path: Path) -> Iterator[int]:
    """Open a lock file, and close it again (so nothing stays locked) only where taking it fails."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        yield descriptor
    except BaseException:
        os.close(descriptor)
        raise


def owner_note(directory: Path) -> dict[str, object]:
    """Return what the present or last owner wrote about itself; empty where nothing can be read."""
    try:
        note = json.loads((directory / LOCK).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return note if isinstance(note, dict) else {}


def is_owned(directory: Path) -> bool:
    """Tell whether an owner runs on this spool now."""
    try:
        descriptor = os.open(directory / LOCK, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


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
