"""When a watched directory is walked, and how far the walk is."""

from __future__ import annotations

import math
from itertools import islice
from typing import TYPE_CHECKING

import structlog

from agent.errors import Wait

if TYPE_CHECKING:
    from collections.abc import Iterator

    from agent.clock import Clock
    from agent.sources.listing import Listing
    from agent.sources.settle import Sighting

log = structlog.get_logger(__name__)

SHARE = 20  # walking may take at most a twentieth of the time


class Rounds:
    """Walks a directory again and again, a piece at a time.

    `completed` is true once a walk came to its end, or found no directory: then nothing was there to take. `away` is
    true while the directory cannot be listed.
    """

    def __init__(self, source: str, listing: Listing, *, rescan_s: float, clock: Clock) -> None:
        self._source = source
        self._listing = listing
        self._rescan_s = rescan_s
        self._clock = clock
        self._walk: Iterator[tuple[str, Sighting]] | None = None
        self._took = 0.0
        self._ended = -math.inf
        self._asked = False
        self.away = False
        self.completed = False

    @property
    def walking(self) -> bool:
        """Tell whether a walk is under way."""
        return self._walk is not None

    @property
    def asked(self) -> bool:
        """Tell whether one more walk is wanted soon."""
        return self._asked

    def ask(self) -> None:
        """Have one more walk soon: something may have been missed."""
        self._asked = True

    def due_at(self) -> float:
        """Return when the next walk begins."""
        # The time that was spent walking, not that of the walk: it may wait for hours while the spool is full.
        rest = SHARE * self._took
        return self._ended + (rest if self._asked else max(self._rescan_s, rest))

    def begin(self) -> bool:
        """Begin a walk if one is due."""
        if self.walking or self._clock.boot() < self.due_at():
            return False
        self._walk, self._took, self._asked = self._listing.walk(), 0.0, False
        return True

    def piece(self, count: int) -> list[tuple[str, Sighting]]:
        """Return up to `count` files more; none are left, or can be listed, where there are none."""
        assert self._walk is not None  # noqa: S101 (nobody asks before `begin`)
        began = self._clock.boot()
        try:
            found = list(islice(self._walk, count))
            self._restored()
        except Wait as error:
            found = []
            self._lost(error)
        self._took += self._clock.boot() - began
        if not found:
            self._walk, self._ended, self.completed = None, self._clock.boot(), True
        return found

    def give_up(self) -> None:
        """Leave a walk of which a piece was lost; the next one begins as soon as it may."""
        self._walk, self._ended, self._asked = None, self._clock.boot(), True

    def _lost(self, error: Wait) -> None:
        if not self.away:
            self.away = True
            log.warning("directory_unavailable", source=self._source, reason=str(error))

    def _restored(self) -> None:
        if self.away:
            self.away = False
            log.info("directory_restored", source=self._source, path=str(self._listing.root))
