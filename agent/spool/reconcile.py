"""Folder and index, compared both ways in the background: each side alone is enough to explain the other.

A picture without a row is the trace of a put that was cut off, or all that a lost index left. A row without a
picture shows when the item is claimed. Only sequence numbers below the fence are judged: nobody is still putting
those.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import structlog

from agent.clock import utc_text
from agent.errors import AgentError, Wait
from agent.frame import PRIORITY
from agent.spool import ledger
from agent.spool.discard import set_aside
from agent.spool.durable import disk_errors, remove
from agent.spool.filenames import SMALLER, parse_filename, smaller_path
from agent.spool.inbox import INSERT, MARK
from agent.spool.records import read_path, stored_inode, stored_path, stored_stamp
from agent.spool.shelf import FOLDER_ITEMS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator
    from datetime import datetime

    from agent.spool.commits import Commits
    from agent.spool.reader import Reader
    from agent.workers import Stop

log = structlog.get_logger(__name__)

SIDECAR = ".sidecar"
ROW = "SELECT path FROM item WHERE id = ? UNION ALL SELECT path FROM leftover WHERE item_id = ? LIMIT 1"


@dataclass(frozen=True, slots=True)
class Found:
    """What a look into an orphaned picture says: all that its row needs."""

    media_type: str
    size: int
    sha256: str
    metadata: str


class Examine(Protocol):
    """Checks a picture and builds its metadata again from its name and the sidecar beside it."""

    def __call__(self, picture: Path, sidecar: Path | None, *, source: str, captured_at: datetime) -> Found:
        """Raise `AgentError` where the picture is no whole one."""
        ...


@dataclass(frozen=True, slots=True)
class Orphan:
    """A picture in the spool's folders that no row names."""

    path: Path
    sidecar: Path | None
    source: str
    captured_at: datetime
    sequence: int


class Reconciler:
    """Finds orphans below a fence, and adopts or removes each."""

    def __init__(
        self,
        commits: Commits,
        reader: Reader,
        root: Path,
        *,
        fence: int,
        salvaged: bool,
        examine: Examine,
        quarantine_max_items: int,
    ) -> None:
        self._commits = commits
        self._reader = reader
        self._root = root
        self._fence = fence
        self._salvaged = salvaged
        self._examine = examine
        self._quarantine_max_items = quarantine_max_items

    def run(self, base: Path, stop: Stop) -> int:
        """Look through `base` (the spool's items, or a hidden folder of a watched directory); return the adopted."""
        adopted = 0
        for orphan in self._orphans(base):
            if stop.is_set():
                break
            try:
                adopted += self._settle(orphan)
            except Wait as error:
                log.warning("reconcile_paused", path=str(orphan.path), reason=str(error))
                break
        return adopted

    def _orphans(self, base: Path) -> Iterator[Orphan]:
        for folder in _folders(base):
            names = set(_names(folder))
            if not names and self._is_past(folder):
                # An empty folder has served; what is not empty, or strange, refuses to go.
                with suppress(OSError):
                    folder.rmdir()
            for name in sorted(names):
                parsed = parse_filename(name)
                if parsed is None:
                    if SIDECAR not in name:
                        log.warning("foreign_file_found", path=str(folder / name))
                    continue
                source, captured_at, sequence = parsed
                if sequence < self._fence and not self._is_explained(name, sequence):
                    beside = next((folder / other for other in names if other.startswith(f"{name}{SIDECAR}")), None)
                    yield Orphan(folder / name, beside, source, captured_at, sequence)

    def _is_past(self, folder: Path) -> bool:
        """Tell whether nobody puts anything into a folder any more."""
        return folder.name.isdecimal() and int(folder.name) < self._fence // FOLDER_ITEMS

    def _row(self, sequence: int) -> str | None:
        """Return the name of the file that the row with this number names."""
        row = self._reader.one(ROW, sequence, sequence)
        return None if row is None else read_path(row["path"], self._root).name

    def _is_explained(self, name: str, sequence: int) -> bool:
        named = self._row(sequence)
        return named is not None and named != smaller_path(Path(name)).name

    def _settle(self, orphan: Orphan) -> int:
        with disk_errors("look at", orphan.path):
            try:
                status = orphan.path.stat()
            except FileNotFoundError:
                return 0  # delivered and removed since its folder was listed: uploaders are at work meanwhile
        if self._row(orphan.sequence) is not None:
            remove(orphan.path)  # its smaller JPEG has taken its place, and its sidecar
            return 0
        delivered = self._reader.one("SELECT filename FROM receipt WHERE item_id = ?", orphan.sequence)
        is_delivered = delivered is not None and parse_filename(delivered["filename"]) == parse_filename(
            orphan.path.name
        )
        # With a healthy index, a second name means that the put was cut off before its commit: the original still
        # lies in its folder, unknown, and will be captured from there.
        if is_delivered or (status.st_nlink > 1 and not self._salvaged):
            for path in (orphan.path, orphan.sidecar):
                if path is not None:
                    remove(path)
            return 0
        try:
            found = self._examine(orphan.path, orphan.sidecar, source=orphan.source, captured_at=orphan.captured_at)
        except Wait:
            raise
        except AgentError as error:
            reason = str(error)
            self._commits.run(lambda connection: self._refuse(connection, orphan, status, reason))
            log.error("orphan_quarantined", path=str(orphan.path), reason=reason)
            return 0
        self._commits.run(lambda connection: self._adopt(connection, orphan, found, status))
        log.warning("orphan_adopted", path=str(orphan.path), source=orphan.source)
        return 1

    def _adopt(self, connection: sqlite3.Connection, orphan: Orphan, found: Found, status: os.stat_result) -> None:
        self._insert(connection, orphan, found)
        # The folder's scan must not take the original for a new picture; it finds this mark by the inode.
        path, inode = f"\0{status.st_ino}".encode(), stored_inode(status.st_ino)
        mark = (orphan.source, path, inode, status.st_size, status.st_mtime_ns, found.sha256, None)
        connection.execute(MARK, mark)

    def _refuse(self, connection: sqlite3.Connection, orphan: Orphan, status: os.stat_result, reason: str) -> None:
        self._insert(connection, orphan, Found("application/octet-stream", status.st_size, "", ""))
        most = self._quarantine_max_items
        set_aside(connection, self._root, orphan.sequence, orphan.source, status.st_size, reason, most=most)

    def _insert(self, connection: sqlite3.Connection, orphan: Orphan, found: Found) -> None:
        beside = stored_path(orphan.sidecar, self._root) if orphan.sidecar else None
        connection.execute(
            INSERT,
            (
                orphan.sequence,
                orphan.source,
                orphan.path.name.replace(f"{SMALLER}.", "."),
                stored_path(orphan.path, self._root),
                found.media_type,
                found.size,
                found.sha256,
                found.metadata,
                utc_text(orphan.captured_at),
                None,
                beside,
                *stored_stamp(None),
                PRIORITY,
            ),
        )
        ledger.count(connection, orphan.source, ledger.CAPTURED, found.size)


def _folders(base: Path) -> list[Path]:
    with disk_errors("list", base):
        return [Path(entry) for entry in _entries(base) if entry.is_dir(follow_symlinks=False)] if base.is_dir() else []


def _names(folder: Path) -> list[str]:
    with disk_errors("list", folder):
        return [entry.name for entry in _entries(folder) if entry.is_file(follow_symlinks=False)]


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name)
