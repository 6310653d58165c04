"""When a file has stopped growing: a pure tracker of sightings, on the boot clock.

A file has settled when its inode, size and modification time have been the same for a quiet time, measured from the
sighting that first showed them. The file's own times are only compared with each other, never with a clock: they
come from a device whose clock may be years off.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from itertools import count
from typing import NamedTuple

LONGEST_WAIT_S = 60.0
SLACK = 64


class Sighting(NamedTuple):
    """What told one state of a file from another."""

    inode: int
    size: int
    mtime_ns: int


@dataclass(slots=True)
class _Candidate:
    sighting: Sighting
    due: float = 0.0
    ticket: int = 0
    delays: int = 0


class SettleTracker:
    """Remembers candidates and says which are due to be looked into; bounded by whoever feeds it."""

    def __init__(self, settle_s: float) -> None:
        self._settle_s = settle_s
        self._candidates: dict[str, _Candidate] = {}
        # By time, and what is due by the files' own times; an entry whose ticket is no longer its candidate's is stale.
        self._waiting: list[tuple[float, int, str]] = []
        self._due: list[tuple[float, int, str]] = []
        self._tickets = count(1)

    def __len__(self) -> int:
        return len(self._candidates)

    def __contains__(self, name: str) -> bool:
        return name in self._candidates

    def see(self, name: str, sighting: Sighting, now: float) -> bool:
        """Enter a sighting; a change begins the quiet time anew (true), the same state lets it run on (false)."""
        candidate = self._candidates.get(name)
        if candidate is not None and candidate.sighting == sighting:
            return False
        self._candidates[name] = _Candidate(sighting)
        self._wait(name, now + self._settle_s)
        return True

    def lose(self, name: str) -> None:
        """Forget a file: it is taken, gone, or nothing to send."""
        self._candidates.pop(name, None)

    def due(self, now: float, limit: int) -> list[tuple[str, Sighting]]:
        """Return up to `limit` of the candidates that are due, the oldest file first, each once.

        They stay until they are lost or postponed.
        """
        while self._waiting and self._waiting[0][0] <= now:
            _, ticket, name = heapq.heappop(self._waiting)
            if self._is_current(name, ticket):
                heapq.heappush(self._due, (self._candidates[name].sighting.mtime_ns, ticket, name))
        return [(name, self._candidates[name].sighting) for _, _, name in self._first(limit)]

    def upcoming(self, limit: int) -> list[tuple[str, Sighting]]:
        """Return up to `limit` of those that `due` would return next, without taking them."""
        entries = self._first(limit)
        for entry in entries:
            heapq.heappush(self._due, entry)
        return [(name, self._candidates[name].sighting) for _, _, name in entries]

    def _first(self, limit: int) -> list[tuple[float, int, str]]:
        found: list[tuple[float, int, str]] = []
        while self._due and len(found) < limit:
            entry = heapq.heappop(self._due)
            if self._is_current(entry[2], entry[1]):
                found.append(entry)
        return found

    def postpone(self, name: str, now: float, *, until: float | None = None) -> float:
        """Look again later: at `until`, or after a wait that doubles each time, from the settle time to a minute.

        Return the seconds until then.
        """
        candidate = self._candidates.get(name)
        if candidate is None:
            return 0.0
        if until is None:
            until = now + min(max(self._settle_s, 0.1) * 2.0 ** min(candidate.delays, 16), LONGEST_WAIT_S)
            candidate.delays += 1
        self._wait(name, until)
        return until - now

    def hasten(self, name: str, until: float) -> None:
        """Look no later than `until`."""
        candidate = self._candidates.get(name)
        if candidate is not None and candidate.due > until:
            self._wait(name, until)

    def next_due(self) -> float | None:
        """Return when the next candidate is due, or None."""
        for queue in (self._due, self._waiting):
            while queue:
                _, ticket, name = queue[0]
                if self._is_current(name, ticket):
                    return self._candidates[name].due
                heapq.heappop(queue)
        return None

    def _wait(self, name: str, until: float) -> None:
        candidate = self._candidates[name]
        candidate.due, candidate.ticket = until, next(self._tickets)
        heapq.heappush(self._waiting, (until, candidate.ticket, name))
        if len(self._waiting) > 2 * len(self._candidates) + SLACK:
            # A file that changes all the time leaves an entry each time.
            self._waiting = [entry for entry in self._waiting if self._is_current(entry[2], entry[1])]
            heapq.heapify(self._waiting)

    def _is_current(self, name: str, ticket: int) -> bool:
        candidate = self._candidates.get(name)
        return candidate is not None and candidate.ticket == ticket
