"""When a file has stopped growing: a pure tracker of sightings, on the boot clock.

A file has settled when its inode, size and modification time have been the same for a quiet time, measured from the
sighting that first showed them. The file's own times are only compared with each other, never with a clock: they
come from a device whose clock may be years off.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

LONGEST_WAIT_S = 60.0


@dataclass(frozen=True, slots=True)
class Sighting:
    """What told one state of a file from another."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Candidate:
    sighting: Sighting
    due: float
    delays: int = 0


class SettleTracker:
    """Remembers candidates and says which are due to be looked into; bounded by whoever feeds it."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._candidates: dict[str, _Candidate] = {}
        # Ordered by time; an entry whose candidate has another due time is stale and skipped.
        self._queue: list[tuple[float, str]] = []

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, name: str) -> bool:
        return name in self._candidates

    def see(self, name: str, sighting: Sighting, now: float) -> None:
        """Enter a sighting; a change begins the quiet time anew, the same state lets it run on."""
        candidate = self._candidates.get(name)
        if candidate is None or candidate.sighting != sighting:
            self._candidates[name] = _Candidate(sighting, now + self._settle_s)
            self._push(name)

    def lose(self, name: str) -> None:
        """Forget a file: it is taken, gone, or nothing to send."""
        self._candidates.pop(name, None)

    def due(self, now: float, limit: int) -> list[tuple[str, Sighting]]:
        """Return up to `limit` candidates that are due, longest due first; each stays until lost or postponed."""
        found: list[tuple[str, Sighting]] = []
        while self._queue and self._queue[0][0] <= now and len(found) < limit:
            at, name = heapq.heappop(self._queue)
            candidate = self._candidates.get(name)
            if candidate is not None and candidate.due == at:
                found.append((name, candidate.sighting))
        return found

    def postpone(self, name: str, now: float, *, until: float | None = None) -> None:
        """Look again later: at `until`, or after a wait that doubles each time, from the settle time to a minute."""
        candidate = self._candidates.get(name)
        if candidate is None:
            return
        if until is None:
            wait = max(self._settle_s, 0.1) * 2.0 ** min(candidate.delays, 16)
            candidate.delays += 1
            until = now + min(wait, LONGEST_WAIT_S)
        candidate.due = until
        self._push(name)

    def hasten(self, name: str, until: float) -> None:
        """Look no later than `until`."""
        candidate = self._candidates.get(name)
        if candidate is not None and candidate.due > until:
            candidate.due = until
            self._push(name)

    def next_due(self) -> float | None:
        """Return when the next candidate is due, or None."""
        while self._queue:
            at, name = self._queue[0]
            candidate = self._candidates.get(name)
            if candidate is not None and candidate.due == at:
                return at
            heapq.heappop(self._queue)
        return None

    def _push(self, name: str) -> None:
        heapq.heappush(self._queue, (self._candidates[name].due, name))
