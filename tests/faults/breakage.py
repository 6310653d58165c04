"""Doubles that break the spool on purpose: each is a defect that an oracle of this folder is there for."""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from typing import TYPE_CHECKING

from agent.spool.inbox import Inbox
from agent.spool.outbox import Outbox

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from agent.frame import Item, Receipt
    from agent.spool.records import Staged
    from agent.spool.spool import Spool

_fsync = os.fsync


class RemovesFirst(Outbox):
    """Deletes before its receipt is durable."""

    def deliver(self, item: Item, receipt: Receipt) -> None:
        """Remove, then record."""
        self._sweep(item.id, (item.path, item.beside), item.origin)
        super().deliver(item, receipt)


class AnswersFirst(Inbox):
    """Says that a batch is in before it is."""

    held: tuple[Staged, ...] = ()

    def commit(self, batch: Sequence[Staged]) -> None:
        """Commit the batch before this one."""
        super().commit(self.held)
        self.held = tuple(batch)


def _flush_names_only(descriptor: int) -> None:
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        _fsync(descriptor)


def _flush_files_only(descriptor: int) -> None:
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        _fsync(descriptor)


def _flush_and_hope(descriptor: int) -> None:
    with suppress(OSError):
        _fsync(descriptor)


def _trust_again(spool: Spool) -> None:
    """Link on, whatever a flush said."""
    shelf = spool.inbox._shelf
    flush = shelf.flush

    def forget(pictures: Sequence[str | Path]) -> set[Path]:
        try:
            return flush(pictures)
        finally:
            shelf._doubt = None

    setattr(shelf, "flush", forget)  # noqa: B010 (mypy lets no method be assigned)


def _flush_no_file_system(spool: Spool) -> None:
    """Take the flush of a file system for done."""
    setattr(spool.inbox._shelf._flushing, "_flush_all", lambda _: True)  # noqa: B010 (mypy lets no method be assigned)


def _pragma(value: str) -> Callable[[Spool], None]:
    def degrade(spool: Spool) -> None:
        spool._commits._connection.execute(f"PRAGMA synchronous = {value}")

    return degrade


def _remove_first(spool: Spool) -> None:
    spool.outbox.__class__ = RemovesFirst


def _answer_first(spool: Spool) -> None:
    spool.inbox.__class__ = AnswersFirst


# Before the spool is opened: what os.fsync does instead.
FLUSHES = {
    "no-file-fsync": _flush_names_only,
    "no-directory-fsync": _flush_files_only,
    "fsync-errors-ignored": _flush_and_hope,
}
# Once it is open.
CHANGES = {
    "synchronous-off": _pragma("OFF"),
    "synchronous-normal": _pragma("NORMAL"),
    "removes-first": _remove_first,
    "answers-first": _answer_first,
    "links-tried-again": _trust_again,
    "no-syncfs": _flush_no_file_system,
}
NAMES = ("", *FLUSHES, *CHANGES)


def break_flushes(name: str) -> None:
    """Break this process's way of flushing, where the defect is one of those."""
    if name in FLUSHES:
        setattr(os, "fsync", FLUSHES[name])  # noqa: B010 (mypy lets no other name be assigned)


def break_spool(name: str, spool: Spool) -> None:
    """Break an open spool, where the defect is one of those."""
    if name in CHANGES:
        CHANGES[name](spool)
