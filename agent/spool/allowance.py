"""What may still come in: the limits, less what is held and what is being written just now (I5)."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from agent.errors import SpoolFull
from agent.spool.budget import UNSEEN_S, leeway, shortage

if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.clock import Clock
    from agent.spool.budget import Leeway, Limits, Shortage, Usage
    from agent.spool.reserve import Reserve
    from agent.spool.room import Room

IN_VAIN = 3


class NoRoom(SpoolFull):
    """The caps or the floors refuse, not the disk itself: another picture would have to go for this one."""


class Allowance:
    """Sets room aside for pictures on their way in; one a process, used by every intake thread."""

    def __init__(
        self, limits: Limits, *, measure: Callable[[], Usage], room: Room, reserve: Reserve, clock: Clock
    ) -> None:
        self.limits = limits
        self._clock = clock
        self._leeway: Leeway | None = None
        self._looked_at = 0.0
        self._measure = measure
        self._room = room
        self._reserve = reserve
        self._counting = threading.Lock()
        self._making = threading.Lock()
        self.bytes_set_aside = 0
        self._items_set_aside = 0

    def take(self, source: str, size: int, *, linked: bool) -> None:
        """Set room aside for a picture, making some first where its source's policy is to make some.

        Raises `NoRoom` where none is to be had.
        """
        missing = self._try(size, linked=linked)
        if missing is not None:
            # One at a time: the room that is made for one picture must not be made for each that waits for it.
            with self._making:
                missing = self._make(source, size, linked=linked)
        if missing is not None:
            raise _no_room(missing)

    def give_back(self, size: int, *, items: int = 1) -> None:
        """Let what was set aside go: it is held now, or was not needed."""
        with self._counting:
            self.bytes_set_aside -= size
            self._items_set_aside -= items

    def check_copy(self, size: int, *, set_aside: int = 0) -> None:
        """Raise `NoRoom` where the floor leaves no room for a copy of what counts against the caps already.

        `set_aside` is what was taken for it before, when it was to be a link, which needs no disk space.
        """
        with self._counting:
            usage = self._usage()
        usage = replace(usage, spool_bytes=0, spool_items=0, free_bytes=usage.free_bytes + set_aside)
        missing = shortage(usage, self.limits, size=size, linked=False)
        if missing is not None:
            raise _no_room(missing)

    def _try(self, size: int, *, linked: bool) -> Shortage | None:
        with self._counting:
            missing = None if self._is_clear(size) else self._look(size, linked=linked)
            if missing is None:
                self._reserve.restore()
                self.bytes_set_aside += size
                self._items_set_aside += 1
            return missing

    def _is_clear(self, size: int) -> bool:
        """Tell whether a picture has room for sure, by a look that is not long ago and found plenty."""
        is_fresh = 0 <= self._clock.boot() - self._looked_at < UNSEEN_S
        self._leeway = self._leeway.less(size) if self._leeway and is_fresh else None
        return self._leeway is not None

    def _look(self, size: int, *, linked: bool) -> Shortage | None:
        usage = self._usage()
        missing = shortage(usage, self.limits, size=size, linked=linked)
        self._leeway = leeway(usage, self.limits).less(size) if missing is None else None
        self._looked_at = self._clock.boot()
        return missing

    def _make(self, source: str, size: int, *, linked: bool) -> Shortage | None:
        missing = self._try(size, linked=linked)
        in_vain = 0
        while missing is not None and in_vain < IN_VAIN and self._room.make(source, missing):
            before, missing = missing, self._try(size, linked=linked)
            # What went may have other names, or others, the index too, take what it frees: not much may go for that.
            if missing is not None and missing.on_disk and not missing.is_less_than(before):
                in_vain += 1
        return missing

    def _usage(self) -> Usage:
        usage = self._measure()
        return replace(
            usage,
            spool_bytes=usage.spool_bytes + self.bytes_set_aside,
            spool_items=usage.spool_items + self._items_set_aside,
            free_bytes=usage.free_bytes - self.bytes_set_aside - self._reserve.missing,
            free_inodes=None if usage.free_inodes is None else usage.free_inodes - self._items_set_aside,
        )


def _no_room(missing: Shortage) -> NoRoom:
    return NoRoom(missing.why, remedy="It goes on by itself as uploads make room.")
