"""What a running daemon remembers of its work, for whoever looks from outside: pictures, uploads, the last error.

In memory and bounded. Nothing in it changes by the mere passing of time, so an idle daemon has nothing to write.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from agent.clock import utc_text
from agent.retry import SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.clock import Clock
    from agent.frame import Item, Receipt
    from agent.platform.answers import Meaning
    from agent.spool.records import Staged

LATEST = 20
SOURCES = 256  # beyond so many names, which only `upload --source` can make up, the longest silent one is forgotten
ARRIVALS = 64
TEMPO_S = 300.0
LONGEST_REASON = 300
BOUNDS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class _Tempo:
    """How often a source's pictures came of late: moments of its last commits, and how many each brought."""

    taken: int = 0
    moments: deque[tuple[float, int]] = field(default_factory=lambda: deque(maxlen=ARRIVALS))

    def note(self, now: float, count: int) -> None:
        self.taken += count
        self.moments.append((now, count))
        while now - self.moments[0][0] > TEMPO_S:
            self.moments.popleft()

    def per_s(self) -> float | None:
        (first, counted), (last, _) = self.moments[0], self.moments[-1]
        return (sum(count for _, count in self.moments) - counted) / (last - first) if last > first else None


class Logbook:
    """Takes notes from every thread; `facts` are plain values for the state file."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._sources: dict[str, _Tempo] = {}
        self._results: Counter[str] = Counter()
        self._buckets = [0] * (len(BOUNDS_S) + 1)
        self._seconds = 0.0
        self._delivered: deque[dict[str, Any]] = deque(maxlen=LATEST)
        self._last_error: dict[str, Any] | None = None

    def captured(self, batch: Sequence[Staged]) -> None:
        """Note pictures that became items."""
        now, counts = self._clock.boot(), Counter(one.draft.source for one in batch)
        with self._lock:
            for source, count in counts.items():
                tempo = self._sources.pop(source, None) or _Tempo()
                tempo.note(now, count)
                self._sources[source] = tempo  # the latest is last
            while len(self._sources) > SOURCES:
                del self._sources[next(iter(self._sources))]

    def answered(self, meaning: Meaning, reason: str, seconds: float) -> None:
        """Note what came of an upload, and how long it took."""
        with self._lock:
            self._results[meaning.value] += 1
            self._buckets[bisect_left(BOUNDS_S, seconds)] += 1
            self._seconds += seconds
            if meaning not in SETTLED:
                self._last_error = {
                    "at": utc_text(self._clock.wall()),
                    "meaning": meaning.value,
                    "reason": reason[:LONGEST_REASON],
                }

    def delivered(self, item: Item, receipt: Receipt) -> None:
        """Note a receipt that is durable."""
        entry = {
            "item_id": item.id,
            "source": item.source,
            "filename": item.filename,
            "size": item.size,
            "result": receipt.result,
            "image_id": receipt.image_id,
            "captured_at": item.captured_at,
            "delivered_at": self._clock.wall(),
        }
        with self._lock:
            self._delivered.appendleft(entry)

    def facts(self) -> dict[str, Any]:
        """Return what is remembered; `last_boot_s` is on the boot clock, deliveries come latest first."""
        with self._lock:
            return {
                "pictures": {name: _told(tempo) for name, tempo in sorted(self._sources.items())},
                "uploads": {
                    "results": dict(sorted(self._results.items())),
                    "seconds": round(self._seconds, 3),
                    "buckets": list(self._buckets),
                    "last_error": self._last_error,
                },
                "deliveries": [_dated(entry) for entry in self._delivered],
            }


def _told(tempo: _Tempo) -> dict[str, Any]:
    per_s = tempo.per_s()
    return {
        "taken": tempo.taken,
        "last_boot_s": round(tempo.moments[-1][0], 1),
        "per_s": None if per_s is None else round(per_s, 3),
    }


def _dated(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a delivery with its times as text, which nobody needs before somebody looks."""
    return entry | {name: utc_text(entry[name]) for name in ("captured_at", "delivered_at")}
