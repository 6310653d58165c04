"""Group commit: what comes together becomes durable together.

A commit costs an fsync (10 ms on an SD card), however much is in it. Whoever arrives first leads: it takes all that
has queued up meanwhile, flushes the directories they share once, and commits them in one transaction; the others
find their result ready. One that fails is rolled back alone and harms no other.
"""

from __future__ import annotations

import sqlite3
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any, TypeVar

from agent.errors import AgentError, SpoolUnavailable
from agent.spool.durable import fsync_directory
from agent.spool.schema import index_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

T = TypeVar("T")


class _Ticket:
    """One caller's share of a commit, and what became of it."""

    def __init__(self, work: Callable[[sqlite3.Connection], Any], directories: Iterable[Path]) -> None:
        self.work = work
        self.directories = tuple(directories)
        self.result: Any = None
        self.error: AgentError | None = None
        self.done = False


class Commits:
    """The one way to write to the index.

    `count` says how many transactions were committed; `failing` that the disk refused the last one, other than for want
    of room.
    """

    def __init__(self, connection: sqlite3.Connection, directory: Path) -> None:
        self._connection = connection
        self._directory = directory
        self._leading = threading.Lock()
        self._queueing = threading.Lock()
        self._queue: list[_Ticket] = []
        self.count = 0
        self.failing = False

    def run(self, work: Callable[[sqlite3.Connection], T], directories: Iterable[Path] = ()) -> T:
        """Flush `directories`, run `work` in a transaction, and return its result once all that is durable.

        Raises what `work` raises, or `SpoolFull`, `SpoolUnavailable`, `SpoolDamaged`: then nothing of it was kept.
        """
        ticket = _Ticket(work, directories)
        with self._queueing:
            self._queue.append(ticket)
        with self._leading:
            if not ticket.done:
                with self._queueing:
                    batch, self._queue = self._queue, []
                self._lead(batch)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[no-any-return]  # a ticket holds what its own work returned

    def close(self) -> None:
        """Close the connection, once nobody writes any more."""
        with self._leading, index_errors("close the spool's index"):
            self._connection.close()

    def _lead(self, batch: list[_Ticket]) -> None:
        # Whatever ends this early, no follower may take silence for success.
        failure: AgentError | None = SpoolUnavailable("a commit to the spool was broken off")
        try:
            for directory in {directory for ticket in batch for directory in ticket.directories}:
                fsync_directory(directory)
            with index_errors("write to the spool's index", self._directory):
                self._commit(batch)
            failure = None
        except AgentError as error:
            failure = error
        finally:
            self.failing = isinstance(failure, SpoolUnavailable)
            for ticket in batch:
                ticket.error = ticket.error or failure
                ticket.done = True

    def _commit(self, batch: list[_Ticket]) -> None:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            for ticket in batch:
                self._run(ticket)
            self._connection.execute("COMMIT")
            self.count += 1
        except BaseException:
            # Also what nobody expected: a transaction left open would refuse every later commit.
            with suppress(sqlite3.Error):
                self._connection.execute("ROLLBACK")
            raise

    def _run(self, ticket: _Ticket) -> None:
        self._connection.execute("SAVEPOINT share")
        try:
            ticket.result = ticket.work(self._connection)
        except AgentError as error:
            ticket.error = error
            self._connection.execute("ROLLBACK TO share")
        self._connection.execute("RELEASE share")
