"""What had to be given up, said once an interval for each source: the ledger has every one, the log their sum."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from agent.clock import Clock

log = structlog.get_logger(__name__)

EVERY_S = 60.0


@dataclass(slots=True)
class _Sum:
    items: int = 0
    size: int = 0
    told_at: float = float("-inf")


class Losses:
    """Adds up what was dropped, and tells of it: the first at once, then the sum of each minute that had any."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sums: dict[tuple[str, str], _Sum] = {}

    def note(self, source: str, reason: str, *, items: int, size: int) -> None:
        """Add dropped items whose drop is on record."""
        if items == 0:
            return
        now = self._clock.boot()
        with self._lock:
            total = self._sums.setdefault((source, reason), _Sum())
            total.items += items
            total.size += size
            if now - total.told_at < EVERY_S:
                return
            self._sums[source, reason] = _Sum(told_at=now)
        _tell(source, reason, total)

    def close(self) -> None:
        """Tell of what was not told yet."""
        with self._lock:
            sums, self._sums = self._sums, {}
        for (source, reason), total in sums.items():
            if total.items:
                _tell(source, reason, total)


def _tell(source: str, reason: str, total: _Sum) -> None:
    log.warning("items_dropped", source=source, reason=reason, items=total.items, bytes=total.size)
