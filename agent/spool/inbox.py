"""The way into the spool: stage a picture's bytes, then commit the rows that make it an item.

Two steps, so that what comes together shares one set of fsyncs. A staged picture has its final name; `commit` flushes
linked files, then the directories, then the rows. Only then is it an item.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.errors import SpoolFull, SpoolUnavailable, Wait
from agent.spool import ledger
from agent.spool.allowance import NoRoom
from agent.spool.discard import set_aside
from agent.spool.durable import folders_of, remove
from agent.spool.filenames import upload_filename
from agent.spool.records import Opened, Staged, stored_inode
from agent.spool.rows import item_row
from agent.spool.vouching import state_adopted, state_written

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.frame import Position
    from agent.spool.allowance import Allowance
    from agent.spool.claims import Claims
    from agent.spool.commits import Commits
    from agent.spool.losses import Losses
    from agent.spool.records import Draft, Mark
    from agent.spool.shelf import Shelf
    from agent.spool.vouching import Vouching
    from agent.workers import Bell

SEQUENCE_BLOCK = 256

INSERT = """
INSERT INTO item(id, source, filename, path, media_type, size, sha256, metadata, captured_at, origin, beside,
boot_id, boot_s, time_trusted, priority) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
MARK = """
INSERT INTO known(source, path, inode, size, mtime_ns, sha256, skipped) VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT(source, path) DO UPDATE SET inode = excluded.inode, size = excluded.size,
mtime_ns = excluded.mtime_ns, sha256 = excluded.sha256, skipped = excluded.skipped
"""
PROGRESS = "INSERT OR REPLACE INTO progress(source, path, fingerprint, next_frame, ended) VALUES (?, ?, ?, ?, ?)"


class Inbox:
    """Takes drafts in, within the limits; one a process, used by every intake thread."""

    def __init__(
        self,
        commits: Commits,
        shelf: Shelf,
        allowance: Allowance,
        claims: Claims,
        losses: Losses,
        vouching: Vouching,
        *,
        arrived: Bell,
    ) -> None:
        self._commits = commits
        self._claims = claims
        self._vouching = vouching
        self._shelf = shelf
        self._allowance = allowance
        self._losses = losses
        self._arrived = arrived
        self._captured: Callable[[Sequence[Staged]], None] = lambda _: None
        self._lock = threading.Lock()
        self._sequences = range(0)
        self._staged: set[int] = set()
        self._limbo: list[Staged] = []

    def tell(self, captured: Callable[[Sequence[Staged]], None]) -> None:
        """Have somebody hear of what became items, while their files are there for sure."""
        self._captured = captured

    def stage(self, draft: Draft) -> Staged:
        """Put a draft's bytes into the spool under their final name.

        Raises `NoRoom` where the limits refuse, `SpoolFull` or `SpoolUnavailable` where the disk does, `Wait` where
        the file changed since it was checked; then nothing of it stays. Whoever stages must `commit` or `abandon`.
        """
        if self._limbo:
            self._commits.run(_reserve_block)  # any commit that holds will do
            self._clear_limbo()
        self._allowance.take(draft.source, draft.size, linked=isinstance(draft.body, Opened))
        try:
            staged = self._shelve(draft, self._next_sequence())
        except BaseException:
            self._allowance.give_back(draft.size)
            raise
        with self._lock:
            self._staged.add(staged.id)
        return staged

    def commit(self, batch: Sequence[Staged]) -> None:
        """Make staged pictures items, all or none, durable when this returns.

        A batch that failed is given up: its pictures have to be staged again. Trying it twice raises `Wait`.
        """
        if not batch:
            return
        ours = [one for one in batch if self._settle(one)]
        try:
            flushed = self._shelf.flush([one.pathname for one in ours if one.linked])
            folders = folders_of(one.pathname for one in batch) - flushed
            self._commits.run(lambda connection: self._insert(connection, batch, ours), folders)
        except Wait:
            # The rows may still be in the journal and come back after a power cut, so the files must outlive them:
            # they are removed behind the next commit that holds, and until then their bytes stay set aside.
            with self._lock:
                self._limbo += ours
            raise
        self._allowance.give_back(sum(one.draft.size for one in batch), items=len(batch))
        self._clear_limbo()
        self._claims.make_way(max(one.draft.priority for one in batch))
        for one in batch:
            if one.state is not None:
                self._vouching.vouch(one.id, one.state)
        self._captured(batch)  # before anybody is told: until then the files are there for sure
        self._arrived.ring()

    def abandon(self, staged: Staged) -> None:
        """Take a staged picture back; its original is untouched. What was committed or given up is left alone."""
        if self._settle(staged):
            self._give_up(staged)

    def mark(self, source: str, mark: Mark) -> None:
        """Remember a watched file without capturing it: its bytes were captured before, under other marks."""
        self._commits.run(lambda connection: write_mark(connection, source, mark))

    def count_dropped(self, source: str, reason: str, *, items: int, size: int) -> None:
        """Enter pictures that were captured but found no room, so that the ledger stays true."""
        self._commits.run(lambda connection: _count_dropped(connection, source, reason, items=items, size=size))
        self._losses.note(source, reason, items=items, size=size)

    def pass_over(self, draft: Draft, reason: str) -> None:
        """Enter a picture of a file as captured and dropped, and remember that; the file itself is left alone."""

        def enter(connection: sqlite3.Connection) -> None:
            _count_dropped(connection, draft.source, reason, items=1, size=draft.size)
            if draft.mark is not None:
                write_mark(connection, draft.source, draft.mark)
            if draft.position is not None:
                write_progress(connection, draft.source, draft.position)

        self._commits.run(enter)
        self._losses.note(draft.source, reason, items=1, size=draft.size)

    def _shelve(self, draft: Draft, sequence: int) -> Staged:
        filename = upload_filename(draft.source, draft.captured_at, sequence, draft.media_type)
        if isinstance(draft.body, bytes):
            path = self._shelf.write(sequence, filename, draft.body)
            beside = self._shelf.lay_beside(path, draft.sidecar)
            return Staged(draft, sequence, filename, path, beside, state=state_written(path))
        path, copied_because = self._shelf.adopt(
            sequence,
            filename,
            draft.body,
            draft,
            lambda: self._allowance.check_copy(draft.size, set_aside=draft.size),
        )
        linked = copied_because is None
        state = state_adopted(os.fstat(draft.body.descriptor), draft.mark) if linked else state_written(path)
        beside = self._shelf.lay_beside(path, draft.sidecar)
        return Staged(draft, sequence, filename, path, beside, copied_because, state)

    def _settle(self, staged: Staged) -> bool:
        """Take a picture off the list of those that are staged; false where it is not on it any more."""
        with self._lock:
            is_staged = staged.id in self._staged
            self._staged.discard(staged.id)
            return is_staged

    def _give_up(self, staged: Staged) -> None:
        self._allowance.give_back(staged.draft.size)
        _remove_quietly(staged.pathname, staged.beside)

    def _insert(self, connection: sqlite3.Connection, batch: Sequence[Staged], ours: Sequence[Staged]) -> None:
        if len(ours) < len(batch):
            raise Wait("pictures were put twice, or after they were given up; they have to be staged again")
        # Another process may have put something since `stage` looked: the last look is inside the transaction.
        limits = self._allowance.limits
        held, items = ledger.held(connection)
        size = sum(one.draft.size for one in batch)
        if held + size > limits.max_bytes or items + len(batch) > limits.max_items:
            raise NoRoom(f"the spool is full: {items} pictures with {held} bytes wait")
        connection.executemany(INSERT, (item_row(one, self._shelf.root) for one in batch))
        ledger.count_all(connection, ((one.draft.source, ledger.CAPTURED, "", one.draft.size) for one in batch))
        marks = [(one.draft.source, one.draft.mark) for one in batch if one.draft.mark is not None]
        connection.executemany(MARK, (_mark_row(source, mark) for source, mark in marks))
        for one in batch:
            draft = one.draft
            if draft.refused is not None:
                most = limits.quarantine_max_items
                set_aside(connection, self._shelf.root, one.id, draft.source, draft.size, draft.refused, most=most)
            if draft.position is not None:
                write_progress(connection, draft.source, draft.position)

    def _next_sequence(self) -> int:
        with self._lock:
            if not self._sequences:
                first = self._commits.run(_reserve_block)
                self._sequences = range(first, first + SEQUENCE_BLOCK)
            sequence, self._sequences = self._sequences[0], self._sequences[1:]
            return sequence

    def _clear_limbo(self) -> None:
        with self._lock:
            limbo, self._limbo = self._limbo, []
        for staged in limbo:
            self._give_up(staged)


def _remove_quietly(*paths: str | Path | None) -> None:
    """Remove files that no row names; what the disk refuses now, the next start finds and removes."""
    for path in paths:
        if path is not None:
            with suppress(SpoolUnavailable, SpoolFull):
                remove(path)


def _count_dropped(connection: sqlite3.Connection, source: str, reason: str, *, items: int, size: int) -> None:
    ledger.count(connection, source, ledger.CAPTURED, size, items=items)
    ledger.count(connection, source, ledger.DROPPED, size, items=items, reason=reason)


def write_mark(connection: sqlite3.Connection, source: str, mark: Mark) -> None:
    """Remember a watched file, within a transaction."""
    connection.execute(MARK, _mark_row(source, mark))


def _mark_row(source: str, mark: Mark) -> tuple[object, ...]:
    path = mark.path.encode("utf-8", "surrogateescape")
    return source, path, stored_inode(mark.inode), mark.size, mark.mtime_ns, mark.sha256, mark.skipped


def write_progress(connection: sqlite3.Connection, source: str, at: Position) -> None:
    """Remember how far a video file was read, within a transaction."""
    connection.execute(PROGRESS, (source, at.path, at.fingerprint, at.next_frame, at.ended))


def _reserve_block(connection: sqlite3.Connection) -> int:
    """Take the next block of sequence numbers; another process takes another one."""
    row = connection.execute("SELECT value FROM meta WHERE key = 'next_sequence'").fetchone()
    first = int(row[0]) if row else 1
    connection.execute("INSERT OR REPLACE INTO meta VALUES ('next_sequence', ?)", (str(first + SEQUENCE_BLOCK),))
    return first
