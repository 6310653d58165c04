"""A megabyte and three inodes that nobody uses, so that a disk which is full to its last byte can still drain.

To record a receipt SQLite needs some room, to open its index two more files; and only a recorded receipt frees any.
The reserve is given up for that, and made again before the next picture is taken in.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, TypeVar

import structlog

from agent.errors import SpoolDamaged, SpoolFull, SpoolUnavailable, Wait
from agent.spool.durable import disk_errors, remove

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

log = structlog.get_logger(__name__)

T = TypeVar("T")

SIZE = 1_048_576
FILES = 3
LITTLE = 65_536


class Reserve:
    """Keeps some files; the owner's alone. Without `keep` they are left as they are."""

    def __init__(self, directory: Path, *, keep: bool) -> None:
        self._directory = directory
        self._paths = [directory / f"reserve-{number}" for number in range(FILES)]
        self._keep = keep
        self._is_whole = not keep

    @property
    def missing(self) -> int:
        """Return how many bytes it takes to make it whole again."""
        return 0 if self._is_whole else SIZE

    def restore(self) -> None:
        """Make it whole; raises `SpoolFull` where there is no room for it."""
        if self._is_whole:
            return
        try:
            for path, size in zip(self._paths, (SIZE, 0, 0), strict=True):
                _occupy(path, size)
        except Wait:
            self._remove()  # half of it is of no use here, and may be what a receipt lacks
            raise
        self._is_whole = True

    def give_up(self) -> bool:
        """Let it go; tell whether there was any."""
        if not self._keep:
            return False
        self._is_whole = False
        was_there = self._paths[0].exists()
        self._remove()
        if was_there:
            log.warning("reserve_given_up", path=str(self._directory), bytes=SIZE)
        return was_there

    def spare(self, work: Callable[[], T]) -> T:
        """Do what has to be recorded even on a full disk; where that fails for want of room, give the reserve up."""
        try:
            return work()
        except SpoolDamaged:
            raise
        except (SpoolFull, SpoolUnavailable) as error:
            if not (isinstance(error, SpoolFull) or self._is_disk_full()) or not self.give_up():
                raise
            return work()

    def _is_disk_full(self) -> bool:
        """Tell whether next to nothing is free: SQLite calls it an I/O error when it cannot grow or make its files."""
        with disk_errors("ask for the free space of", self._directory):
            disk = os.statvfs(self._directory)
        return disk.f_bavail * disk.f_frsize < LITTLE or 0 <= disk.f_favail < FILES < disk.f_files

    def _remove(self) -> None:
        for path in self._paths:
            try:
                remove(path)
            except Wait as error:
                log.warning("removal_failed", path=str(path), reason=str(error))


def _occupy(path: Path, size: int) -> None:
    # Random bytes: some file systems store zeros, and what was only allocated, in no space at all.
    with disk_errors("keep a reserve in", path), path.open("ab") as file:
        file.write(os.urandom(max(0, size - file.tell())))
